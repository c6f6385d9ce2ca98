//! Layers without parameters, as scripts make them: activations, pooling, shapes, dropout.

use crate::nn::layers::layer::{Activation, Layer};
use crate::nn::net::Net;
use std::rc::Rc;

/// A layer without parameters as a network of its own.
fn plain(layer: Layer) -> Net {
    Net::layer(Rc::new(layer))
}

fn activation(activation: Activation) -> Net {
    plain(Layer::Activation(activation))
}

/// What scripts see as `nn::relu` and so on.
#[rhai::export_module]
#[allow(clippy::unwrap_used)] // in the macro's own code
pub mod script {
    use super::{activation, plain};
    use crate::nn::layers::layer::{Activation, Child, Layer, Residual};
    use crate::nn::layers::with_parameters::size;
    use crate::runtime::{Error, Options, Run, Script, options};
    use rhai::{Dynamic, Map, NativeCallContext};
    use std::cell::RefCell;

    type Net = crate::nn::Net;

    /// Activation layer: max(x, 0), elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::relu().forward(tensor([-1.0, 2.0])), tensor([0.0, 2.0]), 1e-4);
    /// ```
    pub fn relu() -> Net {
        activation(Activation::Relu)
    }

    /// Activation layer: x above 0, 0.01 x below, elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::leaky_relu().forward(tensor([-1.0, 2.0])), tensor([-0.01, 2.0]), 1e-4);
    /// ```
    pub fn leaky_relu() -> Net {
        activation(Activation::LeakyRelu)
    }

    /// Activation layer: x times the normal distribution function of x (Hendrycks and Gimpel, 2016), elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::gelu().forward(tensor([0.0, 10.0])), tensor([0.0, 10.0]), 1e-4);
    /// ```
    pub fn gelu() -> Net {
        activation(Activation::Gelu)
    }

    /// Activation layer: the hyperbolic tangent, elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::tanh().forward(tensor([0.0, 20.0])), tensor([0.0, 1.0]), 1e-4);
    /// ```
    pub fn tanh() -> Net {
        activation(Activation::Tanh)
    }

    /// Activation layer: 1 / (1 + exp(-x)), elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::sigmoid().forward(tensor([0.0, 30.0])), tensor([0.5, 1.0]), 1e-4);
    /// ```
    pub fn sigmoid() -> Net {
        activation(Activation::Sigmoid)
    }

    /// Activation layer: x times sigmoid(x), elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::silu().forward(tensor([0.0, 30.0])), tensor([0.0, 30.0]), 1e-4);
    /// ```
    pub fn silu() -> Net {
        activation(Activation::Silu)
    }

    /// Activation layer: x above 0, exp(x) - 1 below, elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::elu().forward(tensor([0.0, 2.0])), tensor([0.0, 2.0]), 1e-4);
    /// ```
    pub fn elu() -> Net {
        activation(Activation::Elu)
    }

    /// Activation layer: ln(1 + exp(x)), elementwise.
    ///
    /// # Example
    /// ```rhai
    /// assert_close(nn::softplus().forward(tensor([0.0, 30.0])), tensor([0.6931, 30.0]), 1e-4);
    /// ```
    pub fn softplus() -> Net {
        activation(Activation::Softplus)
    }

    /// Average pooling layer over square windows: [n, c, h, w] to [n, c, h', w'].
    ///
    /// # Signature
    /// nn::avg_pool2d(kernel: int, #{ stride: int = kernel, padding: int = 0 }) -> Net
    ///
    /// # Options
    /// - `stride` (int, kernel): step between windows
    /// - `padding` (int, 0): border added on each side, at most half the kernel
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::avg_pool2d(2).forward(zeros([1, 3, 8, 8])).shape == [1, 3, 4, 4]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn avg_pool2d(kernel: Dynamic, options: Map) -> Script<Net> {
        let kernel = size("avg_pool2d", &kernel)?;
        let mut o = Options::new("avg_pool2d", options);
        let (stride, padding) = (o.integer("stride", kernel, 1)?, o.integer("padding", 0, 0)?);
        o.finish()?;
        if 2 * padding > kernel {
            let given = format!("`padding` must be at most half the kernel of {kernel}, got {padding}");
            return Err(Error::new("avg_pool2d", given).word("padding").into());
        }
        Ok(plain(Layer::AvgPool { kernel, stride, padding }))
    }

    #[rhai_fn(name = "avg_pool2d", return_raw)]
    pub fn avg_pool2d_plain(kernel: Dynamic) -> Script<Net> {
        avg_pool2d(kernel, Map::new())
    }

    /// Max pooling layer over square windows: [n, c, h, w] to [n, c, h', w'].
    ///
    /// # Signature
    /// nn::max_pool2d(kernel: int, #{ stride: int = kernel, padding: int = 0 }) -> Net
    ///
    /// # Options
    /// - `stride` (int, kernel): step between windows
    /// - `padding` (int, 0): border added on each side, at most half the kernel
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::max_pool2d(2).forward(zeros([1, 3, 8, 8])).shape == [1, 3, 4, 4]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn max_pool2d(kernel: Dynamic, options: Map) -> Script<Net> {
        let kernel = size("max_pool2d", &kernel)?;
        let mut o = Options::new("max_pool2d", options);
        let (stride, padding) = (o.integer("stride", kernel, 1)?, o.integer("padding", 0, 0)?);
        o.finish()?;
        if 2 * padding > kernel {
            let given = format!("`padding` must be at most half the kernel of {kernel}, got {padding}");
            return Err(Error::new("max_pool2d", given).word("padding").into());
        }
        Ok(plain(Layer::MaxPool { kernel, stride, padding }))
    }

    #[rhai_fn(name = "max_pool2d", return_raw)]
    pub fn max_pool2d_plain(kernel: Dynamic) -> Script<Net> {
        max_pool2d(kernel, Map::new())
    }

    /// Average pooling layer to a fixed size: [n, c, h, w] to [n, c, side, side].
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::adaptive_avg_pool2d(1).forward(zeros([2, 3, 7, 5])).shape == [2, 3, 1, 1]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn adaptive_avg_pool2d(side: Dynamic) -> Script<Net> {
        Ok(plain(Layer::AdaptiveAvgPool(size("adaptive_avg_pool2d", &side)?)))
    }

    /// Layer that joins all dimensions but the first: [n, ..] to [n, d].
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::flatten().forward(zeros([2, 3, 4])).shape == [2, 12]);
    /// ```
    pub fn flatten() -> Net {
        plain(Layer::Flatten)
    }

    /// Layer that returns its input.
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::identity().forward(ones([2])).sum().item() == 2.0);
    /// ```
    pub fn identity() -> Net {
        plain(Layer::Identity)
    }

    /// Dropout layer: in training sets elements to 0 with this probability and scales the others up, in evaluation does
    /// nothing. Source: Srivastava et al., JMLR 2014.
    ///
    /// # Signature
    /// nn::dropout(rate: float) -> Net
    ///
    /// # Example
    /// ```rhai
    /// let layer = nn::dropout(0.5);
    /// layer.train_mode(false);
    /// assert(layer.forward(ones([4])).sum().item() == 4.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn dropout(context: NativeCallContext, rate: Dynamic) -> Script<Net> {
        let chosen = options::as_number(&rate).filter(|rate| (0.0..1.0).contains(rate)).ok_or_else(|| {
            let given = options::describe(&rate);
            Error::new("dropout", format!("expects a rate of at least 0 and below 1, got {given}"))
        })?;
        let stream = RefCell::new(Run::of(&context).stream("dropout"));
        Ok(plain(Layer::Dropout { rate: chosen, stream }))
    }

    /// Residual layer: `body(x) + x`, or with a second network `body(x) + shortcut(x)`. Source: He et al., CVPR 2016.
    ///
    /// Parameters are named `body.*` and `shortcut.*`.
    ///
    /// # Signature
    /// nn::residual(body: Net, shortcut: Net) -> Net
    ///
    /// # Example
    /// ```rhai
    /// assert(nn::residual(nn::identity()).forward(ones([2])).sum().item() == 4.0);
    /// ```
    pub fn residual(body: Net, shortcut: Net) -> Net {
        let child = |name: &str, net: &Net| Child { name: name.into(), layer: net.root().clone() };
        let (body, shortcut) = (vec![child("body", &body)], Some(child("shortcut", &shortcut)));
        plain(Layer::Residual(Residual { body, shortcut, relu: false }))
    }

    #[rhai_fn(name = "residual")]
    pub fn residual_identity(body: Net) -> Net {
        let body = vec![Child { name: "body".into(), layer: body.root().clone() }];
        plain(Layer::Residual(Residual { body, shortcut: None, relu: false }))
    }
}
