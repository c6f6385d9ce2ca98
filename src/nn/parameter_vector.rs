//! All trainable parameters of a network as one vector, and back.

use crate::nn::net::Net;
use crate::runtime::{At, Error, Result};
use tch::Tensor;

impl Net {
    /// A copy of the trainable parameters, one after the other: [p].
    ///
    /// # Errors
    /// A network without trainable parameters.
    pub fn to_vector(&self) -> Result<Tensor> {
        let at = "parameters_to_vector";
        let flat: std::result::Result<Vec<Tensor>, _> =
            self.trainable().iter().map(|(_, p)| p.f_detach()?.f_reshape([-1])).collect();
        let flat = flat.at(at)?;
        if flat.is_empty() {
            return Err(Error::new(at, "the network has no trainable parameters"));
        }
        let _guard = tch::no_grad_guard();
        Tensor::f_cat(&flat, 0).at(at)
    }

    /// Gives the trainable parameters the values of a vector, in place.
    ///
    /// # Errors
    /// A vector of another length.
    pub fn set_vector(&self, vector: &Tensor) -> Result<()> {
        let at = "vector_to_parameters";
        let parameters = self.trainable();
        let length: i64 = parameters.iter().map(|(_, p)| p.numel() as i64).sum();
        if vector.size() != [length] {
            let given =
                format!("the network has {length} trainable parameters, got a tensor of shape {:?}", vector.size());
            return Err(Error::new(at, given));
        }
        let _guard = tch::no_grad_guard();
        let mut start = 0;
        for (_, mut parameter) in parameters {
            let length = parameter.numel() as i64;
            let piece = vector.f_narrow(0, start, length).and_then(|piece| piece.f_view(parameter.size().as_slice()));
            piece.and_then(|piece| parameter.f_copy_(&piece)).at(at)?;
            start += length;
        }
        Ok(())
    }
}

/// What scripts see.
#[rhai::export_module]
pub mod script {
    use crate::runtime::Script;
    use crate::tensor::Tensor;

    type Net = crate::nn::Net;

    /// The trainable parameters of a network as one vector, in PyTorch's order: Tensor[p], a copy.
    ///
    /// # Example
    /// ```rhai
    /// assert(parameters_to_vector(nn::linear(4, 2)).shape == [10]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn parameters_to_vector(net: Net) -> Script<Tensor> {
        Ok(net.to_vector()?.into())
    }

    /// Gives the trainable parameters of a network the values of a vector, in place; the order is that of
    /// `parameters_to_vector`.
    ///
    /// # Signature
    /// vector_to_parameters(vector: Tensor[p], net: Net)
    ///
    /// # Example
    /// ```rhai
    /// let net = nn::linear(1, 1);
    /// vector_to_parameters(tensor([2.0, 5.0]), net);
    /// assert(net.forward(tensor([[3.0]])).item() == 11.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn vector_to_parameters(vector: Tensor, net: Net) -> Script<()> {
        Ok(net.set_vector(&vector)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::Net;
    use crate::nn::layers::layer::Layer;
    use crate::nn::layers::with_parameters::Maker;
    use std::rc::Rc;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn frozen_parameters_are_left_out_and_other_lengths_refused() {
        let net = Net::layer(Rc::new(Layer::Linear(Maker::new(Device::Cpu).linear(2, 3, true).unwrap())));
        let counted = Tensor::arange(9, (Kind::Float, Device::Cpu));
        net.set_vector(&counted).unwrap();
        assert!(net.to_vector().unwrap().equal(&counted));
        net.freeze("weight", true).unwrap();
        assert_eq!(net.to_vector().unwrap().size(), [3]);
        let error = net.set_vector(&counted).unwrap_err().to_string();
        assert_eq!(error, "vector_to_parameters: the network has 3 trainable parameters, got a tensor of shape [9]");
        net.freeze("", true).unwrap();
        assert!(net.to_vector().is_err());
    }
}
