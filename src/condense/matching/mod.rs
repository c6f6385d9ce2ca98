//! Condensers that optimise images of a class until networks see in them what they see in the class: DC, DM, IDM.

pub mod augment;
pub mod augment_script;
pub mod condensers;
pub mod dc;
pub mod dm;
pub mod idm;
pub mod image_transforms;
pub mod losses;
pub mod setup;
