//! The run: settings and state that every primitive of one engine shares. It travels as the engine's tag.

use super::error::{Error, Result};
use super::progress::Progress;
use super::random::{Stream, derive};
use rhai::{Engine, NativeCallContext};
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use tch::Device;

/// What the command line decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The seed every stream derives from.
    pub seed: u64,
    /// Where tensors live.
    pub device: Device,
    /// Intra-op threads of libtorch.
    pub threads: usize,
    /// No progress on stderr.
    pub quiet: bool,
    /// `--set key=value` pairs, unparsed.
    pub arguments: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            device: Device::Cpu,
            threads: tch::get_num_threads().max(1) as usize,
            quiet: true,
            arguments: vec![],
        }
    }
}

/// A handle to the run; clones share it.
#[derive(Clone)]
pub struct Run(Rc<Inner>);

struct Inner {
    settings: Settings,
    progress: Progress,
    scope: RefCell<Scope>,
    engine: RefCell<Weak<Engine>>,
    slots: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
}

/// A key that streams derive from, and how often each name was drawn under it.
#[derive(Clone)]
struct Scope {
    key: u64,
    drawn: HashMap<String, u64>,
}

/// Restores the surrounding scope when dropped.
pub struct ScopeGuard {
    run: Run,
    outer: Option<Scope>,
}

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            *self.run.0.scope.borrow_mut() = outer;
        }
    }
}

impl Run {
    /// A new run.
    pub fn new(settings: Settings) -> Self {
        let scope = Scope { key: derive(settings.seed, "run"), drawn: HashMap::new() };
        Self(Rc::new(Inner {
            progress: Progress::new(settings.quiet),
            settings,
            scope: RefCell::new(scope),
            engine: RefCell::new(Weak::new()),
            slots: RefCell::default(),
        }))
    }

    /// The run a registered function is called in.
    pub fn of(context: &NativeCallContext) -> Self {
        context.tag().and_then(|tag| tag.clone().try_cast::<Self>()).unwrap_or_else(|| Self::new(Settings::default()))
    }

    /// What the command line decided.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where tensors live.
    pub fn device(&self) -> Device {
        self.0.settings.device
    }

    /// The seed every stream derives from.
    pub fn seed(&self) -> u64 {
        self.0.settings.seed
    }

    /// Where long work reports to.
    pub fn progress(&self) -> &Progress {
        &self.0.progress
    }

    /// The next stream of this name in the current scope: the first call gives occurrence 0, the second 1, …
    pub fn stream(&self, name: &str) -> Stream {
        let mut scope = self.0.scope.borrow_mut();
        let occurrence = scope.drawn.entry(name.to_string()).or_insert(0);
        let label = format!("{name}#{occurrence}");
        *occurrence += 1;
        Stream::new(scope.key, &label)
    }

    /// The stream that the first draw under this name has in a run of this seed.
    pub fn first_stream(seed: u64, name: &str) -> Stream {
        Stream::new(derive(seed, "run"), &format!("{name}#0"))
    }

    /// Enters a scope whose streams depend on `seed` and `label` alone, not on what ran before.
    pub fn enter(&self, seed: u64, label: &str) -> ScopeGuard {
        let inner = Scope { key: derive(seed, label), drawn: HashMap::new() };
        let outer = self.0.scope.replace(inner);
        ScopeGuard { run: self.clone(), outer: Some(outer) }
    }

    /// Runs `work` without moving any stream: what it draws is forgotten afterwards.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        let saved = self.0.scope.borrow().clone();
        let result = work();
        *self.0.scope.borrow_mut() = saved;
        result
    }

    /// Connects the engine, so that callbacks can be called later.
    pub fn set_engine(&self, engine: &Rc<Engine>) {
        *self.0.engine.borrow_mut() = Rc::downgrade(engine);
    }

    /// The engine of this run.
    pub fn engine(&self) -> Option<Rc<Engine>> {
        self.0.engine.borrow().upgrade()
    }

    /// The run's one value of type `T`, made on first use: state that a room keeps for the length of the run.
    pub fn slot<T: Default + 'static>(&self) -> Rc<T> {
        let found = self.0.slots.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(value) = found.and_then(|any| any.downcast::<T>().ok()) {
            return value;
        }
        let value = Rc::new(T::default());
        self.0.slots.borrow_mut().insert(TypeId::of::<T>(), value.clone());
        value
    }

    /// Waits until the device has finished, so that clocks tell the truth.
    pub fn synchronize(&self) {
        if let Device::Cuda(index) = self.device() {
            tch::Cuda::synchronize(index as i64);
        }
    }
}

/// Reads `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// Anything else, with the choices.
pub fn parse_device(text: &str) -> Result<Device> {
    match text {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Ok(Device::Cuda(0)),
        _ => text.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Device::Cuda).ok_or_else(|| {
            Error::new("device", format!("{text:?} is not a device")).hint("use \"cpu\", \"cuda\" or \"cuda:N\"")
        }),
    }
}

/// The script's name of a device.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}
