//! What a person asks for: one livepatch or all of them loaded or unloaded, one installed or uninstalled, a shutdown noted.

pub mod all;
pub mod install;
pub mod load;
pub mod shut_down;
pub mod uninstall;
pub mod unload;

#[cfg(test)]
mod tests;

/// How far a change of what is installed came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// As asked.
    Whole,
    /// Not all of it: a person has to look.
    Half,
}
