//! A module whose forward pass is a closure of the script.

use super::layer::{Child, Layer, Pass};
use super::net::Net;
use crate::runtime::{Callback, Error, Result, options};
use crate::tensor;
use rhai::Dynamic;
use std::rc::Rc;
use tch::Tensor;

/// Named layers and what a script does with them.
#[derive(Clone)]
pub struct Scripted {
    pub children: Vec<Child>,
    pub forward: Callback,
    pub embed: Option<Callback>,
}

impl Scripted {
    /// Calls the closure with the module, so that a copy computes with its own layers, and the input.
    pub fn forward(&self, layer: &Rc<Layer>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        call("module", &self.forward, layer, x, pass)
    }

    /// Calls the closure that computes the embedding.
    pub fn embed(&self, layer: &Rc<Layer>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let missing = || {
            Error::new("embed", "this module does not say how its embedding is computed")
                .hint("give a second closure: module(#{ .. }, |m, x| .., |m, x| ..)")
        };
        call("embed", self.embed.as_ref().ok_or_else(missing)?, layer, x, pass)
    }
}

fn call(operation: &str, closure: &Callback, layer: &Rc<Layer>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
    let module = Net::part(layer.clone(), pass.mode.clone());
    let input = tensor::Tensor::from(x.shallow_clone());
    let output = closure.call(vec![Dynamic::from(module), Dynamic::from(input)])?;
    match output.clone().try_cast::<tensor::Tensor>() {
        Some(output) => Ok(output.shallow_clone()),
        None => {
            Err(Error::new(operation, format!("the closure must return a tensor, got {}", options::describe(&output))))
        }
    }
}
