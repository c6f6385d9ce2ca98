//! Charts and pictures: SVG panels, axes, labels, marks, and grids of images.

pub mod axis;
pub mod frame;
pub mod image_grid;
pub mod label_placement;
pub mod looks;
pub mod marks;
pub mod panel;
pub mod plot_script;
pub mod svg;
pub mod svg_chart;
