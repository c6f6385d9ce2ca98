//! Pictures as pixels: SVG drawn into a PNG, with a face of our own, so that text shows on machines without fonts.

use crate::runtime::{Error, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Source};
use resvg::usvg::{Group, Node, Options, Tree};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Liberation Sans (SIL Open Font License, see `fonts/LICENSE`); as wide as the Helvetica that our pictures are laid out for.
const FACES: [&[u8]; 2] =
    [include_bytes!("fonts/LiberationSans-Regular.ttf"), include_bytes!("fonts/LiberationSans-Bold.ttf")];

const FAMILY: &str = "Liberation Sans";

/// Pixels for one of the picture's units: enough for print in a column.
const SCALE: f32 = 2.0;

/// The picture as the bytes of a PNG file, and the characters that no face has.
///
/// # Errors
/// A picture that is no SVG or has no room in memory.
pub fn png(svg: &str) -> Result<(Vec<u8>, String)> {
    let failed = |problem: &dyn std::fmt::Display| Error::new("png", format!("the picture cannot be drawn: {problem}"));
    let mut tree = parsed(svg, false)?;
    let mut missing = BTreeSet::new();
    unknown(tree.root(), &mut missing);
    if !missing.is_empty() {
        // Looking for the machine's fonts takes its time.
        tree = parsed(svg, true)?;
        missing.clear();
        unknown(tree.root(), &mut missing);
    }
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| failed(&"it has no size"))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| failed(&"it is too large"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    let bytes = pixels.encode_png().map_err(|problem| failed(&problem))?;
    Ok((bytes, missing.into_iter().collect()))
}

fn parsed(svg: &str, machine: bool) -> Result<Tree> {
    let mut faces = Database::new();
    for face in FACES {
        faces.load_font_source(Source::Binary(Arc::new(face)));
    }
    if machine {
        faces.load_system_fonts();
    }
    faces.set_sans_serif_family(FAMILY);
    let options = Options { font_family: FAMILY.into(), fontdb: Arc::new(faces), ..Options::default() };
    Tree::from_str(svg, &options).map_err(|problem| Error::new("png", format!("the picture cannot be read: {problem}")))
}

/// Collects the characters below a group that stand there as the face's sign for none.
fn unknown(group: &Group, found: &mut BTreeSet<char>) {
    for node in group.children() {
        match node {
            Node::Group(group) => unknown(group, found),
            Node::Text(text) => {
                let glyphs = text.layouted().iter().flat_map(|span| &span.positioned_glyphs);
                let missing = glyphs.filter(|glyph| glyph.id.0 == 0);
                found.extend(missing.flat_map(|glyph| glyph.text.chars()).filter(|c| !c.is_control()));
            }
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(text: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"40\" font-family=\"Helvetica, sans-serif\">\
             <rect width=\"200\" height=\"40\" fill=\"white\"/><text x=\"10\" y=\"25\">{text}</text></svg>"
        )
    }

    /// Width, height and how many pixels are dark.
    fn read(bytes: &[u8]) -> (u32, u32, usize) {
        let image = image::load_from_memory(bytes).unwrap().to_luma8();
        (image.width(), image.height(), image.pixels().filter(|pixel| pixel.0[0] < 128).count())
    }

    #[test]
    fn text_shows_with_the_faces_of_our_own() {
        let (bytes, missing) = png(&picture("loss ± α → я")).unwrap();
        let (width, height, dark) = read(&bytes);
        assert_eq!((width, height, missing.as_str()), (400, 80, ""));
        assert!(dark > 300, "{dark}");
        assert_eq!(read(&png(&picture("")).unwrap().0).2, 0);
    }

    #[test]
    fn characters_that_no_face_has_are_told() {
        // A character of the private use area.
        let (bytes, missing) = png(&picture("a\u{f8d7}b")).unwrap();
        assert_eq!(missing, "\u{f8d7}");
        assert!(read(&bytes).2 > 50);
        assert!(png("no picture").is_err());
    }
}
