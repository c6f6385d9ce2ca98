//! The smallest set of functions that the other rooms' scripts need.

use super::Tensor;
use crate::runtime::options::{as_number, describe};
use crate::runtime::{At, Error, Result, Run, Script};
use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};
use tch::{Kind, Tensor as T};

fn shape(a: &Array) -> Vec<i64> {
    a.iter().filter_map(|d| d.as_int().ok()).collect()
}

fn flatten(value: &Dynamic, out: &mut Vec<f64>, dims: &mut Vec<i64>, depth: usize, integer: &mut bool) -> Result<()> {
    if let Some(items) = value.read_lock::<Array>() {
        if dims.len() <= depth {
            dims.push(items.len() as i64);
        } else if dims[depth] != items.len() as i64 {
            return Err(Error::new("tensor", "rows of different lengths"));
        }
        for item in items.iter() {
            flatten(item, out, dims, depth + 1, integer)?;
        }
        return Ok(());
    }
    *integer &= value.is_int();
    out.push(as_number(value).ok_or_else(|| Error::new("tensor", format!("not a number: {}", describe(value))))?);
    Ok(())
}

fn tensor(value: Dynamic, run: &Run) -> Result<Tensor> {
    let (mut out, mut dims, mut integer) = (vec![], vec![], true);
    flatten(&value, &mut out, &mut dims, 0, &mut integer)?;
    let t = T::from_slice(&out).f_reshape(&dims).at("tensor")?;
    let t = t.f_to_kind(if integer && !out.is_empty() { Kind::Int64 } else { Kind::Float }).at("tensor")?;
    Ok(t.f_to_device(run.device()).at("tensor")?.into())
}

fn close(a: &T, b: &T, rtol: f64, atol: f64, label: &str) -> Result<()> {
    if a.size() != b.size() {
        return Err(Error::new("assert_close", format!("{label}: shapes {:?} and {:?}", a.size(), b.size())));
    }
    let (a, b) = (a.f_to_kind(Kind::Double).at("assert_close")?, b.f_to_kind(Kind::Double).at("assert_close")?);
    let difference = a.f_sub(&b).at("")?.f_abs().at("")?;
    let allowed = b.f_abs().at("")?.f_mul_scalar(rtol).at("")?.f_add_scalar(atol).at("")?;
    let bad = difference.f_le_tensor(&allowed).at("")?.f_logical_not().at("")?.f_sum(Kind::Int64).at("")?;
    if bad.f_int64_value(&[]).at("")? > 0 {
        let worst = difference.f_max().at("")?.f_double_value(&[]).at("")?;
        return Err(Error::new(
            "assert_close",
            format!("{label}: {} elements differ, at most by {worst}", bad.int64_value(&[])),
        ));
    }
    Ok(())
}

fn as_tensor(value: &Dynamic, run: &Run) -> Result<Tensor> {
    match value.clone().try_cast::<Tensor>() {
        Some(t) => Ok(t),
        None => tensor(value.clone(), run),
    }
}

type Ctx<'a> = NativeCallContext<'a>;
type Out = Script<Tensor>;

macro_rules! unary {
    ($engine:ident: $($name:literal => $op:ident),*) => { $( $engine.register_fn($name, |t: Tensor| -> Out { Ok(t.$op().at($name)?.into()) }); )* };
}
macro_rules! binary {
    ($engine:ident: $($name:literal => $tensor:ident, $scalar:ident);*) => { $(
        $engine.register_fn($name, |a: Tensor, b: Tensor| -> Out { Ok(a.$tensor(&b).on($name, &[&a, &b])?.into()) });
        $engine.register_fn($name, |a: Tensor, b: f64| -> Out { Ok(a.$scalar(b).at($name)?.into()) });
        $engine.register_fn($name, |a: Tensor, b: i64| -> Out { Ok(a.$scalar(b).at($name)?.into()) });
        $engine.register_fn($name, |a: f64, b: Tensor| -> Out { let a = b.f_full_like(a).at($name)?; Ok(a.$tensor(&b).at($name)?.into()) });
        $engine.register_fn($name, |a: i64, b: Tensor| -> Out { let a = b.f_full_like(a).at($name)?; Ok(a.$tensor(&b).at($name)?.into()) });
    )* };
}

/// Adds everything to an engine.
pub fn register(e: &mut Engine) {
    unary!(e: "exp" => f_exp, "log" => f_log, "log1p" => f_log1p, "relu" => f_relu, "tanh" => f_tanh, "sqrt" => f_sqrt,
        "abs" => f_abs, "-" => f_neg, "t" => f_tr, "floor" => f_floor, "sigmoid" => f_sigmoid, "detach" => f_detach, "square" => f_square);
    e.register_fn("sin", |t: Tensor| -> Out { Ok(t.f_sin().at("sin")?.into()) });
    e.register_fn("cos", |t: Tensor| -> Out { Ok(t.f_cos().at("cos")?.into()) });
    binary!(e: "+" => f_add, f_add_scalar; "-" => f_sub, f_sub_scalar; "*" => f_mul, f_mul_scalar; "/" => f_div, f_div_scalar;
        "**" => f_pow, f_pow_tensor_scalar; "%" => f_remainder_tensor, f_remainder; ">" => f_gt_tensor, f_gt; "<" => f_lt_tensor, f_lt;
        ">=" => f_ge_tensor, f_ge; "<=" => f_le_tensor, f_le);
    let _ = e.register_custom_operator("@", 180);
    e.register_fn("@", |a: Tensor, b: Tensor| -> Out { Ok(a.f_matmul(&b).on("matmul", &[&a, &b])?.into()) });
    for (name, fill) in [("zeros", 0.0), ("ones", 1.0)] {
        e.register_fn(name, move |c: Ctx, s: Array| -> Out {
            Ok(T::f_full(shape(&s), fill, (Kind::Float, Run::of(&c).device())).at(name)?.into())
        });
    }
    e.register_fn("randn", |c: Ctx, s: Array| -> Out {
        let run = Run::of(&c);
        let dims = shape(&s);
        let values = run.stream("random").normals(dims.iter().product::<i64>() as usize);
        Ok(T::from_slice(&values).f_reshape(&dims).at("randn")?.f_to_device(run.device()).at("randn")?.into())
    });
    e.register_fn("rand", |c: Ctx, s: Array| -> Out {
        let run = Run::of(&c);
        let dims = shape(&s);
        let values = run.stream("random").uniforms(dims.iter().product::<i64>() as usize, 0.0, 1.0);
        Ok(T::from_slice(&values).f_reshape(&dims).at("rand")?.f_to_device(run.device()).at("rand")?.into())
    });
    e.register_fn("arange", |c: Ctx, n: i64| -> Out {
        Ok(T::f_arange(n, (Kind::Int64, Run::of(&c).device())).at("arange")?.into())
    });
    e.register_fn("tensor", |c: Ctx, v: Array| -> Out { Ok(tensor(v.into(), &Run::of(&c))?) });
    e.register_fn("tensor", |c: Ctx, v: f64| -> Out { Ok(tensor(v.into(), &Run::of(&c))?) });
    e.register_fn("reshape", |t: Tensor, s: Array| -> Out { Ok(t.f_reshape(shape(&s)).at("reshape")?.into()) });
    e.register_fn("flatten", |t: Tensor, d: i64| -> Out { Ok(t.f_flatten(d, -1).at("flatten")?.into()) });
    e.register_fn("to", |t: Tensor, name: &str| -> Out {
        let kind = match name {
            "f64" => Kind::Double,
            "i64" => Kind::Int64,
            "u8" => Kind::Uint8,
            "bool" => Kind::Bool,
            _ => Kind::Float,
        };
        Ok(t.f_to_kind(kind).at("to")?.into())
    });
    e.register_get("dtype", |t: &mut Tensor| {
        match t.f_kind() {
            Ok(Kind::Double) => "f64",
            Ok(Kind::Int64) => "i64",
            Ok(Kind::Bool) => "bool",
            _ => "f32",
        }
        .to_string()
    });
    e.register_fn("sum", |t: Tensor| -> Out { Ok(t.f_sum(t.kind()).at("sum")?.into()) });
    e.register_fn("mean", |t: Tensor| -> Out { Ok(t.f_mean(Kind::Float).at("mean")?.into()) });
    e.register_fn("mean", |t: Tensor, d: i64| -> Out { Ok(t.f_mean_dim(d, false, Kind::Float).at("mean")?.into()) });
    e.register_fn("max", |t: Tensor| -> Out { Ok(t.f_max().at("max")?.into()) });
    e.register_fn("min", |t: Tensor| -> Out { Ok(t.f_min().at("min")?.into()) });
    e.register_fn("copy", |t: Tensor| -> Out { Ok(t.f_detach_copy().at("copy")?.into()) });
    e.register_fn("requires_grad_", |t: Tensor, on: bool| -> Out {
        Ok(t.f_set_requires_grad(on).at("requires_grad_")?.into())
    });
    e.register_indexer_get(|t: &mut Tensor, i: i64| -> Out { Ok(t.f_select(0, i).at("index")?.into()) });
    e.register_fn("to_array", |t: Tensor| -> Script<Array> {
        let flat = t.f_to_kind(Kind::Double).at("to_array")?.f_reshape([-1]).at("to_array")?;
        let v: Vec<f64> = Vec::try_from(&flat).map_err(|x: tch::TchError| Error::new("to_array", x.to_string()))?;
        Ok(v.into_iter().map(Dynamic::from).collect())
    });
    e.register_fn("grad", |loss: Tensor, x: Tensor| -> Out {
        let g = T::f_run_backward(&[(*loss).shallow_clone()], &[(*x).shallow_clone()], true, false).at("grad")?;
        Ok(g.into_iter().next().ok_or_else(|| Error::new("grad", "none"))?.into())
    });
    e.register_fn("to_string", |t: &mut Tensor| format!("{:?}", **t));
    e.register_fn("assert", |ok: bool| -> Script<()> {
        if ok { Ok(()) } else { Err("assertion failed".into()) }
    });
    e.register_fn("assert", |ok: bool, m: &str| -> Script<()> {
        if ok { Ok(()) } else { Err(m.into()) }
    });
    e.register_fn("assert_close", |c: Ctx, a: Dynamic, b: Dynamic, tolerance: f64| -> Script<()> {
        let run = Run::of(&c);
        Ok(close(&*as_tensor(&a, &run)?, &*as_tensor(&b, &run)?, 0.0, tolerance, "values")?)
    });
    e.register_fn("assert_close", |c: Ctx, a: Dynamic, b: Dynamic, o: Map| -> Script<()> {
        let run = Run::of(&c);
        let get = |k: &str| o.get(k).and_then(as_number).unwrap_or(0.0);
        let label = o.get("label").map(ToString::to_string).unwrap_or_default();
        Ok(close(&*as_tensor(&a, &run)?, &*as_tensor(&b, &run)?, get("rtol"), get("atol"), &label)?)
    });
    e.register_fn("read_text", |p: &str| -> Script<String> {
        std::fs::read_to_string(p).map_err(|x| format!("{p}: {x}").into())
    });
    e.register_fn("load_safetensors", |p: &str| -> Script<Map> {
        let read = T::read_safetensors(p).at("load_safetensors")?;
        Ok(read.into_iter().map(|(n, t)| (n.into(), Dynamic::from(Tensor::from(t)))).collect())
    });
    e.register_fn("fmt", |x: f64, f: &str| -> String {
        let digits = f.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(4);
        format!("{x:.digits$}")
    });
}
