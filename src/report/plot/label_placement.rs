//! Where labels of points go: beside their point, out of the way of everything else.

/// A rectangle on the sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Lower edge.
    pub bottom: f64,
}

impl Area {
    /// Centred on a point.
    pub fn around(x: f64, y: f64, half_width: f64, half_height: f64) -> Self {
        Self { left: x - half_width, top: y - half_height, right: x + half_width, bottom: y + half_height }
    }

    /// The shared surface.
    pub fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    fn size(&self) -> f64 {
        (self.right - self.left) * (self.bottom - self.top)
    }
}

/// About how wide a text is in a sans-serif face.
pub fn text_width(text: &str, size: f64) -> f64 {
    let each = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | '·' | '|' | '\'' | ' ' | '(' | ')' => 0.33,
        'm' | 'w' | 'M' | 'W' | '%' => 0.87,
        'A'..='Z' => 0.68,
        _ => 0.6,
    };
    text.chars().map(each).sum::<f64>() * size
}

/// Where a label went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// Where the text is anchored.
    pub x: f64,
    /// Its base line.
    pub y: f64,
    /// SVG's `text-anchor`: the side next to the point is exact, whatever the face's widths.
    pub anchor: &'static str,
    /// Where a thin line from the point ends, for labels that lie further off.
    pub leader: Option<(f64, f64)>,
    /// How much of other labels, of markers and of what lies outside it covers, in square pixels.
    pub covered: f64,
}

/// The labels of one panel.
pub struct Labels {
    bounds: Area,
    /// What is taken, and how much covering it costs.
    taken: Vec<(Area, f64)>,
}

impl Labels {
    /// None so far.
    pub fn within(bounds: Area) -> Self {
        Self { bounds, taken: vec![] }
    }

    /// Keeps labels off an area.
    pub fn block(&mut self, area: Area) {
        self.taken.push((area, 1.0));
    }

    /// Keeps labels off an area if that is easily done.
    pub fn soften(&mut self, area: Area) {
        self.taken.push((area, 0.3));
    }

    /// Finds the best place for the label of a point, and takes it.
    pub fn place(&mut self, x: f64, y: f64, text: &str, size: f64) -> Placed {
        let (width, height) = (text_width(text, size), size);
        let mut best = (
            f64::INFINITY,
            Placed { x, y, anchor: "middle", leader: None, covered: 0.0 },
            Area::around(x, y, 0.0, 0.0),
        );
        for (ring, radius) in [0.0, 12.0, 24.0, 38.0, 54.0, 72.0].into_iter().enumerate() {
            for (turn, (dx, dy)) in AROUND.into_iter().enumerate() {
                // The near corner or side of the text lies 10 from the point, then further along the same direction.
                let (cx, cy) = (x + dx * (10.0 + radius + width / 2.0), y + dy * (11.0 + radius));
                let area = Area::around(cx, cy, width / 2.0 + 1.0, height / 2.0 + 1.0);
                let cost = self.cost(&area) + ring as f64 * 8.0 + turn as f64 * 0.5;
                if cost < best.0 {
                    let near = ((x + dx * (10.0 + radius)).clamp(area.left, area.right), cy - dy * height / 2.0);
                    let leader = (ring > 0).then_some(near);
                    let anchor = if dx > 0.0 {
                        "start"
                    } else if dx < 0.0 {
                        "end"
                    } else {
                        "middle"
                    };
                    let covered = self.covered(&area);
                    let placed = Placed { x: cx - dx * width / 2.0, y: cy + height * 0.35, anchor, leader, covered };
                    best = (cost, placed, area);
                }
            }
        }
        self.block(best.2);
        best.1
    }

    /// Which of some areas covers the least; takes it.
    pub fn choose(&mut self, areas: &[Area]) -> usize {
        let costs = areas.iter().enumerate().map(|(i, area)| (i, self.cost(area)));
        let best = costs.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(i, _)| i);
        if let Some(area) = areas.get(best) {
            self.block(*area);
        }
        best
    }

    /// What of the area lies on what labels are kept off, or outside.
    fn covered(&self, area: &Area) -> f64 {
        let hard = self.taken.iter().filter(|(_, price)| *price >= 1.0).map(|(taken, _)| area.overlap(taken));
        hard.sum::<f64>() + area.size() - area.overlap(&self.bounds)
    }

    /// What lies under the area, and what of it sticks out of the panel.
    fn cost(&self, area: &Area) -> f64 {
        let outside = area.size() - area.overlap(&self.bounds);
        let covered: f64 = self.taken.iter().map(|(taken, price)| price * area.overlap(taken)).sum();
        covered + 20.0 * outside
    }
}

/// Right, left, above, below, then the diagonals.
const AROUND: [(f64, f64); 8] =
    [(1.0, 0.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, -1.0), (-1.0, 1.0)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowded_labels_keep_apart_and_inside() {
        let bounds = Area { left: 0.0, top: 0.0, right: 400.0, bottom: 280.0 };
        let mut labels = Labels::within(bounds);
        let points: Vec<(f64, f64)> =
            (0..8).map(|i| (150.0 + 9.0 * f64::from(i % 3), 100.0 + 6.0 * f64::from(i))).collect();
        points.iter().for_each(|(x, y)| labels.block(Area::around(*x, *y, 6.0, 6.0)));
        for (x, y) in &points {
            labels.place(*x, *y, "finetune · blend", 12.0);
        }
        let placed: Vec<Area> = labels.taken[8..].iter().map(|(area, _)| *area).collect();
        for (i, a) in placed.iter().enumerate() {
            assert_eq!(a.overlap(&bounds), a.size(), "label {i} sticks out");
            for b in &placed[i + 1..] {
                assert!(a.overlap(b) < 1.0, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn a_lone_label_stands_to_the_right_of_its_point() {
        let mut labels = Labels::within(Area { left: 0.0, top: 0.0, right: 400.0, bottom: 280.0 });
        let placed = labels.place(100.0, 100.0, "acf", 12.0);
        assert_eq!((placed.x, placed.anchor, placed.leader), (110.0, "start", None));
    }
}
