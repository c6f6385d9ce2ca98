//! Where there are no pseudo terminals the editor reads the terminal itself.

/// No front.
pub struct Front;

/// Bytes that could not be taken as they came: none that we know of.
#[derive(Default)]
pub struct Faults;

impl Faults {
    pub fn warnings(&self) -> Vec<String> {
        vec![]
    }
}

/// What happened since it was asked last.
#[derive(Default)]
pub struct Notes {
    pub faults: Faults,
    pub dropped: Vec<String>,
}

/// What the editor tells about the ends of lines.
pub struct Shared;

impl Front {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub fn shared(&self) -> std::sync::Arc<Shared> {
        std::sync::Arc::new(Shared)
    }

    pub fn editing<T>(&self, read: impl FnOnce() -> T) -> T {
        read()
    }

    pub fn notes(&self) -> Notes {
        Notes::default()
    }
}

impl Shared {
    pub fn seen(&self) {}

    pub fn ends(&self) {}

    pub fn goes_on(&self) {}

    pub fn at_once(&self) -> bool {
        false
    }

    pub fn next_line(&self) -> Option<String> {
        None
    }
}
