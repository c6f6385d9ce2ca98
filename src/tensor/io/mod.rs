//! Files of tensors: safetensors and NumPy's, known by their content.

pub mod content;
pub mod npy;
pub mod npy_header;
pub mod npz;
pub mod safetensors_file;
pub mod zip_archive;
