//! What a person asks for: one livepatch loaded or unloaded, a shutdown noted.

pub mod load;
pub mod shut_down;
pub mod unload;

#[cfg(test)]
mod tests;
