//! Checkpoints in the forms of public projects, written by PyTorch (`tests/data/checkpoints/make.py`): the state dict is found
//! and read, what stands beside it is neither run nor in the way, and what cannot be read is told as what it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Ended, Place};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints")
}

/// Runs a script with a network of the checkpoints' shape in the folder of the checkpoints.
fn run(script: &str) -> Ended {
    let place = Place::new();
    let head = format!(
        "const FOLDER = \"{}/\";\nfn net() {{ sequential([nn::linear(3, 4), nn::relu(), nn::linear(4, 2)]) }}\n\
         fn said(work) {{ let told = \"nothing\"; try {{ work.call(); }} catch (e) {{ told = `${{e.message}} | ${{e.hint}}`; }} told }}\n",
        folder().display()
    );
    place.run(&(head + script))
}

fn passes(script: &str) -> Ended {
    let ended = run(script);
    assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
    ended
}

#[test]
fn every_form_of_checkpoint_gives_its_weights() {
    let forms = std::fs::read_to_string(folder().join("forms.txt")).unwrap();
    assert!(forms.lines().count() >= 50);
    let ended = passes(
        "for form in read_text(global::FOLDER + \"forms.txt\").split(\"\\n\") {\n\
             if form == \"\" { continue; }\n\
             let net = net();\n\
             try { load(net, global::FOLDER + form); } catch (e) { print(`${form}: ${e.message}`); continue; }\n\
             let right = net.params()[\"0.weight\"][1][0].item() == 0.75 && net.params()[\"2.bias\"][1].item() == 6.25;\n\
             if !right { print(`${form}: other values`); }\n\
         }",
    );
    assert_eq!(ended.stdout, "");
    for told in [
        "timm.pth.tar: 2 state dicts of the file fit",
        "`state_dict_ema` left",
        "a network of TorchScript",
        "criterion.weight",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("imagenet.pth.tar"), "nothing is to be said of it: {}", ended.stderr);
}

#[test]
fn the_state_dict_can_be_chosen() {
    passes(
        "let own = net();\n\
         load(own, global::FOLDER + \"ema.pth\", \"ema\");\n\
         assert(own.params()[\"0.weight\"].sum().item() == 0.0);\n\
         assert(said(|| load(own, global::FOLDER + \"moco.pth.tar\")).contains(\"state_dict.encoder_q\"));\n\
         load(own, global::FOLDER + \"moco.pth.tar\", \"state_dict.encoder_q\");\n\
         assert(own.params()[\"2.bias\"][1].item() == 6.25);\n\
         assert(said(|| load(own, global::FOLDER + \"ema.pth\", \"emma\")).contains(\"did you mean \\\"ema\\\"\"));\n\
         assert(load_pth(global::FOLDER + \"gan.pth\", \"netD\").keys() == [\"main.bias\", \"main.weight\"]);",
    );
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_read() {
    for (form, told) in [
        ("sparse", "a sparse tensor"),
        ("quantised", "a quantised tensor"),
        ("complex", "complex numbers"),
        ("uint16", "torch.uint16"),
        ("float8", "torch.float8_e4m3fn"),
        ("object", "project.blobs.Blob"),
        ("numpy", "an array of NumPy's"),
    ] {
        let ended = passes(&format!(
            "let path = global::FOLDER + \"bad_{form}.pth\";\n\
             let own = net();\n\
             let before = own.weights_hash();\n\
             let message = said(|| load(own, path));\n\
             assert(message.contains(\"0.weight\") && message.contains(\"{told}\"), message);\n\
             assert(own.weights_hash() == before);\n\
             assert(load_pth(path).keys() == [\"0.bias\", \"2.bias\", \"2.weight\"]);"
        ));
        assert!(ended.stderr.contains(told), "{form}: {}", ended.stderr);
    }
    let ended = passes("assert(load_pth(global::FOLDER + \"bad_legacy_cut.pth\").len() == 2);");
    assert!(ended.stderr.contains("2 of 4 tensors could not be read"), "{}", ended.stderr);
    for (form, name) in [("system", "posix.system"), ("eval", "eval")] {
        let script = format!("load(net(), global::FOLDER + \"bad_{form}.pth\");");
        let ended = run(&script);
        assert!(ended.code != 0 && ended.stderr.contains(name) && !ended.stdout.contains("harm"), "{}", ended.stderr);
    }
}

#[test]
fn what_save_writes_is_read_whatever_its_name() {
    passes(
        "for name in [\"a.pth\", \"a.pt\", \"a.bin\", \"a.ckpt\", \"a.pth.tar\", \"a.t7\", \"a.npz\", \"a.safetensors\", \"a\", \"a.PTH\", \"a.weights\"] {\n\
             let path = temporary_path(name);\n\
             let from = net();\n\
             save(from, path);\n\
             let to = net();\n\
             load(to, path);\n\
             assert(to.weights_hash() == from.weights_hash(), name);\n\
             assert(load_pth(path).len() == 4, name);\n\
             let optimizer = sgd(from, #{ lr: 0.1, momentum: 0.9 });\n\
             save(optimizer, path);\n\
             load(optimizer, path);\n\
         }\n\
         assert(said(|| save(net(), temporary_path(\"a.onnx\"))).contains(\".safetensors\"));",
    );
}

#[test]
fn files_of_other_kinds_are_told_as_what_they_are() {
    let place = Place::new();
    for (name, content, told) in [
        ("page.pth", &b"<!DOCTYPE html><html>"[..], "a web page"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        ("empty.pth", b"", "an empty file"),
        ("packed.pth", b"\x1f\x8b\x08\0\0\0\0\0", "compressed with gzip"),
        ("plain.pkl", b"\x80\x04}.", "a pickle of Python"),
        ("array.pth", b"\x93NUMPY\x01\0", "load_npy"),
    ] {
        place.write(name, content);
        for reader in ["load_pth", "load_safetensors"] {
            let ended = place.run(&format!("{reader}(\"{name}\");"));
            assert!(ended.code != 0 && ended.stderr.contains(told), "{reader} {name}: {}", ended.stderr);
        }
    }
    std::fs::copy(folder().join("plain.pth"), place.path("weights.safetensors")).unwrap();
    let ended = place.run("load_safetensors(\"weights.safetensors\");");
    assert!(ended.code != 0 && ended.stderr.contains("load_pth"), "{}", ended.stderr);
}

#[test]
fn a_map_with_a_prefix_is_told_which() {
    passes(
        "let state = #{};\n\
         for key in net().state().keys() { state[`module.${key}`] = net().state()[key]; }\n\
         let message = said(|| net().load_state(state));\n\
         assert(message.contains(\"take \\\"module.\\\" off\"), message);",
    );
}
