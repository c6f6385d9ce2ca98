"""Writes the checkpoints of this folder with PyTorch: `python make.py`. All hold the weights of `nn.Sequential(Linear(3, 4),
ReLU(), Linear(4, 2))` counted up from 0 in quarters, in the forms that public projects give them; `forms.txt` lists them. Needs NumPy beside PyTorch."""
import argparse, collections, datetime, io, os, pathlib, random, struct, sys, types, zipfile

import numpy as np
import torch
from torch import nn

here = pathlib.Path(__file__).resolve().parent


def net():
    made = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    place = 0
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.arange(place, place + parameter.numel()).view_as(parameter) / 4)
            place += parameter.numel()
    return made


def trained(kind="sgd"):
    """A network with an optimiser that has a state, its values set back."""
    made = net()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9) if kind == "sgd" else torch.optim.Adam(made.parameters())
    made(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    made.load_state_dict(net().state_dict())
    return made, optimizer


def named(prefix, inner=lambda name: name):
    return collections.OrderedDict((prefix + inner(name), tensor) for name, tensor in net().state_dict().items())


def other():
    """Weights of the same shapes that are not the ones to be read."""
    return {name: torch.zeros_like(tensor) for name, tensor in net().state_dict().items()}


def fake(module, name, **members):
    """A class of a package that readers do not have."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    made = type(name, members.pop("bases", (object,)), {"__module__": module, **members})
    setattr(sys.modules[module], name, made)
    return made


forms = {}


def form(name, value, **options):
    path = here / name
    torch.save(value, path, **options)
    forms[name] = path


sd = net().state_dict()
made, optimizer = trained()
_, adam = trained("adam")
steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)

form("plain.pth", sd)
form("imagenet.pth.tar", {"epoch": 3, "arch": "resnet18", "state_dict": named("module."), "best_acc1": torch.tensor(71.5),
                          "optimizer": optimizer.state_dict(), "scheduler": steps.state_dict()})
form("saliency.pth.tar", {"result": {"train_ta": [1.0], "val_ta": [2.0]}, "epoch": 2, "state_dict": sd, "best_sa": 93.5,
                          "optimizer": optimizer.state_dict(), "scheduler": steps.state_dict()})
form("cifar.t7", {"net": named("module."), "acc": 93.1, "epoch": 7})
form("cifar_best.pth", {"net": sd, "acc": torch.tensor(93.1), "epoch": 7})
form("timm.pth.tar", {"epoch": 4, "arch": "resnet18", "state_dict": sd, "optimizer": optimizer.state_dict(), "version": 2,
                      "args": argparse.Namespace(lr=0.1, model="resnet18"), "metric": 71.0, "state_dict_ema": other()})
form("lightning.ckpt", {"epoch": 3, "global_step": 100, "pytorch-lightning_version": "2.1.0", "state_dict": named("model."),
                        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
                        "optimizer_states": [adam.state_dict()], "lr_schedulers": [cosine.state_dict()],
                        "hparams_name": "kwargs", "hyper_parameters": {"lr": 0.1, "device": torch.device("cpu")}})
form("lightning_criterion.ckpt", {"state_dict": {**named("net."), "criterion.weight": torch.ones(2)}, "epoch": 1})
form("compiled.pt", named("_orig_mod."))
form("compiled_parallel.pt", {"model": named("module._orig_mod.")})
form("parallel_compiled.pt", {"model_state": named("_orig_mod.module.")})
form("inner_parallel.pth", named("", lambda name: name.replace(".", ".module.", 1)))
form("accelerate.bin", named("module."))
form("fairseq.pt", {"args": argparse.Namespace(arch="transformer"), "cfg": None, "model": sd, "criterion": None,
                    "optimizer_history": [{"num_updates": 5, "lr_scheduler_state": {"best": None}}],
                    "task_state": {}, "extra_state": {"train_iterator": {"epoch": 1}}, "last_optimizer_state": adam.state_dict()})
form("detectron.pth", {"model": sd, "__author__": "somebody", "matching_heuristics": True, "iteration": 9, "scheduler": steps.state_dict()})
form("mmcv.pth", {"meta": {"mmcv_version": "1.3", "time": "Tue", "hook_msgs": {}, "CLASSES": ("a", "b")}, "state_dict": named("backbone."),
                  "optimizer": optimizer.state_dict()})
form("esrgan.pth", {"params": sd, "params_ema": other()})
form("nested.pth", {"model": {"state_dict": sd, "name": "mlp"}, "epoch": 1})
form("deeply.pth", {"checkpoint": {"best": {"weights": {"module": sd}}}})
form("list.pt", [sd])
form("tuple.pt", (sd, optimizer.state_dict(), 3))
form("model_state.pt", {"model_state": sd, "optimizer_state": adam.state_dict(), "scheduler_state": cycle.state_dict()})
form("tutorial.tar", {"epoch": 5, "model_state_dict": sd, "optimizer_state_dict": adam.state_dict(), "loss": torch.tensor(0.4)})
form("arch_beside.pth", {"model": "resnet18", "weights": sd, "num_classes": 2})
form("ema.pth", {"model": sd, "ema": other(), "step": 10})
form("gan.pth", {"netD": {"main.weight": torch.ones(9), "main.bias": torch.ones(1)}, "netG": sd})
form("defaultdict.pth", collections.defaultdict(dict, {"net": sd, "log": collections.defaultdict(list, {"loss": [1.0]})}))
form("onecycle.pth", {"sched": cycle.state_dict(), "state_dict": sd})
form("plateau.pth", {"scheduler": plateau.state_dict(), "scaler": torch.amp.GradScaler("cpu").state_dict(), "state_dict": sd})
form("numbers.pth", {"acc": np.float64(0.5), "history": np.arange(4.0), "confusion": np.eye(2), "z": 1 + 2j, "seen": {1, 2},
                     "frozen": frozenset(["a"]), "big": 2**70, "when": datetime.datetime(2024, 1, 2), "where": pathlib.PurePosixPath("a/b"),
                     "size": torch.Size([1, 2]), "dtype": torch.float16, "device": torch.device("cpu"), "bytes": b"\xff\x00",
                     "slice": slice(1, 2), "range": range(3), "state_dict": sd})
torch.manual_seed(0), np.random.seed(0), random.seed(0)
form("rng.pth", {"model": sd, "rng": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate(), "seed": 2**63 + 5,
                 "generator": np.random.default_rng(0)})
Config = fake("omegaconf.dictconfig", "DictConfig", __init__=lambda self: setattr(self, "_content", {"lr": [0.1]}))
Meter = fake("utils.meters", "AverageMeter", __init__=lambda self: setattr(self, "avg", torch.tensor(1.0)))
Easy = fake("easydict", "EasyDict", bases=(dict,))
Level = fake("project.levels", "Level", __reduce__=lambda self: (Level, (3,)), __init__=lambda self, *a: None)
form("omegaconf.pt", {"cfg": Config(), "meter": Meter(), "level": Level(), "model": sd})
form("easydict.pt", Easy(model=sd, epoch=3))
form("object.pt", {"trainer": types.SimpleNamespace(step=3, weights=sd)})
form("parameters.pt", dict(net().named_parameters()))
form("protocol4.pt", {"state_dict": sd, "frozen": frozenset([1]), "seen": {2}}, pickle_protocol=4)
form("protocol5.pt", {"state_dict": sd, "raw": bytearray(b"abc")}, pickle_protocol=5)
form("legacy.pth", sd, _use_new_zipfile_serialization=False)
form("legacy_checkpoint.pth.tar", {"epoch": 1, "arch": "mlp", "state_dict": named("module."), "best_prec1": torch.tensor(70.0),
                                   "optimizer": optimizer.state_dict()}, _use_new_zipfile_serialization=False)
form("module.pth", made)
form("module_parallel.pth", {"net": nn.DataParallel(made), "acc": 90.0})
form("module_legacy.pt", made, _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(net()), str(here / "scripted.pt"))
forms["scripted.pt"] = here / "scripted.pt"
flat = torch.cat([parameter.detach().flatten() for parameter in net().parameters()])
views, place = {}, 0
for name, tensor in sd.items():
    views[name] = flat[place:place + tensor.numel()].view(tensor.shape)
    place += tensor.numel()
form("flat.pth", views)
form("transposed.pth", {name: tensor.t().contiguous().t() for name, tensor in sd.items()})
form("half.pth", {name: tensor.half() for name, tensor in sd.items()})
form("brain.pth", {name: tensor.bfloat16() for name, tensor in sd.items()})
form("double.pth", {name: tensor.double() for name, tensor in sd.items()})


class Wrapped(torch.Tensor):
    pass


Wrapped.__module__ = "project.tensors"
sys.modules.setdefault("project", types.ModuleType("project"))
sys.modules["project.tensors"] = types.ModuleType("project.tensors")
sys.modules["project.tensors"].Wrapped = Wrapped
form("subclass.pth", {name: tensor.as_subclass(Wrapped) for name, tensor in sd.items()})
marked = {name: nn.Parameter(tensor) for name, tensor in sd.items()}
for tensor in marked.values():
    tensor.tag = "kept"
form("parameters_with_state.pth", marked)


def big_endian(path):
    """The file as a big-endian machine writes it."""
    source = zipfile.ZipFile(here / "plain.pth")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for entry in source.namelist():
            data = source.read(entry)
            if "/data/" in entry:
                data = b"".join(data[at:at + 4][::-1] for at in range(0, len(data), 4))
            target.writestr(entry, b"big" if entry.endswith("byteorder") else data)


big_endian(here / "big_endian.pth")
forms["big_endian.pth"] = here / "big_endian.pth"
numbered = zipfile.ZipFile(here / "weights.npz", "w", zipfile.ZIP_STORED)
for name, tensor in sd.items():
    kept = io.BytesIO()
    np.save(kept, tensor.numpy())
    numbered.writestr(zipfile.ZipInfo(f"{name}.npy"), kept.getvalue())
numbered.close()
os.rename(here / "weights.npz", here / "numpy.weights")
forms["numpy.weights"] = here / "numpy.weights"
header = b'{"0.weight":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]},"0.bias":{"dtype":"F32","shape":[4],"data_offsets":[48,64]},' \
         b'"2.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[64,96]},"2.bias":{"dtype":"F32","shape":[2],"data_offsets":[96,104]}}'
(here / "safetensors.pth").write_bytes(struct.pack("<Q", len(header)) + header + flat.numpy().tobytes())
forms["safetensors.pth"] = here / "safetensors.pth"

# Files that are refused, or read in part.
weights = dict(sd)
torch.save({**weights, "0.weight": weights["0.weight"].to_sparse()}, here / "bad_sparse.pth")
torch.save({**weights, "0.weight": torch.quantize_per_tensor(weights["0.weight"], 0.1, 0, torch.qint8)}, here / "bad_quantised.pth")
torch.save({**weights, "0.weight": weights["0.weight"].to(torch.complex64)}, here / "bad_complex.pth")
torch.save({**weights, "0.weight": weights["0.weight"].to(torch.uint16)}, here / "bad_uint16.pth")
torch.save({**weights, "0.weight": weights["0.weight"].to(torch.float8_e4m3fn)}, here / "bad_float8.pth")
Blob = fake("project.blobs", "Blob", __init__=lambda self: setattr(self, "value", 3))
torch.save({**weights, "0.weight": Blob()}, here / "bad_object.pth")
torch.save({**weights, "0.weight": weights["0.weight"].numpy()}, here / "bad_numpy.pth")
Evil = type("Evil", (), {"__reduce__": lambda self: (os.system, ("echo harm",))})
torch.save({"state_dict": sd, "extra": Evil()}, here / "bad_system.pth")
torch.save({"state_dict": sd, "extra": type("Evil", (), {"__reduce__": lambda self: (eval, ("print('harm')",))})()}, here / "bad_eval.pth")
torch.save({"epoch": 3, "state_dict": {**named("module.encoder_q."), **{f"module.encoder_k.{n}": t for n, t in other().items()}}},
           here / "moco.pth.tar")
torch.save({"encoder": named("a."), "decoder": {"b": torch.ones(3), "c": torch.ones(3)}}, here / "two_parts.pth")
whole = (here / "legacy.pth").read_bytes()
(here / "bad_legacy_cut.pth").write_bytes(whole[:-30])
(here / "forms.txt").write_text("\n".join(forms) + "\n")
print(len(forms), "forms,", sum(path.stat().st_size for path in here.iterdir()) // 1024, "KiB")
