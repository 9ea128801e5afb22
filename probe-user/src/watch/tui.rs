//! The screen.
use crate::{
    cli::ColorWhen,
    kernel::inhabitants::Inhabitants,
    model::{Output, Overview},
};
use std::io;
pub struct Host {
    pub release: String,
    pub hostname: String,
    pub possible_cpus: Option<u32>,
    pub root_netns: u32,
}
pub struct Look;
impl Look {
    pub fn from_environment(_ascii: bool, _color: ColorWhen) -> Self {
        Self
    }
}
pub enum Request {
    Quit { keep: bool },
    Reset,
    Mark,
    Suspend,
}
pub struct Screen;
impl Screen {
    pub fn open(_h: Host, _l: Look, _s: u64) -> io::Result<Self> {
        Err(io::Error::other("no screen yet: use --plain"))
    }
    pub fn feed(&mut self, _o: &[Output]) {}
    pub fn show(&mut self, _o: Overview) {}
    pub fn name(&mut self, _i: Inhabitants) {}
    pub fn draw(&mut self, _n: u64) -> io::Result<()> {
        Ok(())
    }
    pub async fn input(&mut self) -> io::Result<Option<Request>> {
        Ok(None)
    }
    pub fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }
    pub fn resume(&mut self) -> io::Result<()> {
        Ok(())
    }
    pub fn close(self, _k: bool) -> io::Result<()> {
        Ok(())
    }
}
