//! What the kernel of a made node does with modules and livepatches, as Linux 6.1 does it (`kernel/livepatch/core.c`,
//! `transition.c`), in the files of sysfs that show it.

use std::fs;

use nix::errno::Errno;

use super::world::{Action, World};

/// Where the first module lies in memory, and how far apart modules are.
const FIRST_PLACE: u64 = 0xffff_ffff_c0a0_0000;
const APART: u64 = 0x10_000;

impl World {
    pub(super) fn load_module(&self, name: &str) {
        self.write(&format!("sys/module/{name}/taint"), "OEK\n");
        self.write(&format!("sys/module/{name}/refcnt"), "1\n");
        let mut kernel = self.kernel.borrow_mut();
        let others = u64::try_from(kernel.places.len()).unwrap();
        let place = FIRST_PLACE + APART * others;
        kernel.places.entry(name.to_owned()).or_insert(place);
        drop(kernel);
        self.list_modules();
    }

    pub(super) fn list_modules(&self) {
        let loaded = self.names("sys/module");
        let kernel = self.kernel.borrow();
        let places = kernel.places.iter();
        let lines = places
            .filter(|(name, _)| loaded.contains(*name))
            .map(|(name, place)| format!("{name} 16384 1 - Live {place:#x} (OEK)\n"));
        let text: String = lines.collect();
        drop(kernel);
        self.write("proc/modules", text);
    }

    /// Shows an enabled livepatch in transition.
    pub(super) fn show(&self, name: &str, object: &str) {
        self.write(&livepatch(name, "enabled"), "1");
        self.write(&livepatch(name, "transition"), "1");
        self.write(&livepatch(name, &format!("{object}/patched")), "1");
        let function = livepatch(name, &format!("{object}/estimation_timer,1"));
        fs::create_dir_all(self.root.join(function)).unwrap();
    }

    pub(super) fn insert(&self, name: &str) -> Result<(), Errno> {
        if self.is_loaded(name) {
            return Err(Errno::EEXIST);
        }
        if self.is_any_in_transition() {
            return Err(Errno::EBUSY);
        }
        self.load_module(name);
        self.show(name, "ip_vs");
        self.log_line(&format!("livepatch: enabling patch '{name}'"));
        self.begin_transition(name);
        Ok(())
    }

    pub(super) fn is_any_in_transition(&self) -> bool {
        let patches = self.names("sys/kernel/livepatch");
        let mut states = patches.iter().filter_map(|name| self.livepatch(name));
        states.any(|(_, transition)| transition)
    }

    pub(super) fn write_enabled(&self, name: &str, value: bool) -> Result<(), Errno> {
        let (enabled, transition) = self.livepatch(name).ok_or(Errno::ENOENT)?;
        if enabled == value {
            return Err(Errno::EINVAL);
        }
        if !transition && self.is_any_in_transition() {
            return Err(Errno::EBUSY);
        }
        self.write(&livepatch(name, "enabled"), if value { "1" } else { "0" });
        self.write(&livepatch(name, "transition"), "1");
        self.begin_transition(name);
        Ok(())
    }

    pub(super) fn begin_transition(&self, name: &str) {
        let is_enabled = self.livepatch(name).unwrap().0;
        let mut kernel = self.kernel.borrow_mut();
        let number = kernel.transitions.entry(name.to_owned()).or_default();
        *number += 1;
        let number = *number;
        let takes = if is_enabled {
            kernel.patching
        } else {
            kernel.unpatching
        };
        drop(kernel);
        if let Some(wait) = takes {
            self.schedule(wait, Action::Settle(name.to_owned(), number));
        }
    }

    /// Ends a transition, unless a later one has begun.
    pub(super) fn settle(&self, name: &str, transition: u64) {
        let is_last = self.kernel.borrow().transitions.get(name) == Some(&transition);
        let Some((is_enabled, true)) = self.livepatch(name).filter(|_| is_last) else {
            return;
        };
        if !is_enabled {
            self.forget(name);
            return;
        }
        self.write(&livepatch(name, "transition"), "0");
        if self.kernel.borrow().replaces_others {
            let others = self.names("sys/kernel/livepatch").into_iter();
            others
                .filter(|other| other != name)
                .for_each(|other| self.forget(&other));
        }
    }

    /// Removes the folder of a livepatch whose code no task runs.
    pub(super) fn forget(&self, name: &str) {
        self.remove(&format!("sys/kernel/livepatch/{name}"));
        self.write(&format!("sys/module/{name}/refcnt"), "0\n");
    }

    pub(super) fn unload_module(&self, name: &str) -> Result<(), Errno> {
        if !self.is_loaded(name) {
            return Err(Errno::ENOENT);
        }
        if self.livepatch(name).is_some() {
            return Err(Errno::EAGAIN);
        }
        let code = self.place(name).map(|place| place..place + APART);
        if code.is_some_and(|code| self.estimators.borrow().call(&code)) {
            let crash = format!("a timer calls {name}, which was removed");
            self.kernel.borrow_mut().crash = Some(crash);
        }
        self.remove(&format!("sys/module/{name}"));
        self.list_modules();
        Ok(())
    }
}

/// Returns the path of a file of a livepatch.
pub(super) fn livepatch(name: &str, file: &str) -> String {
    format!("sys/kernel/livepatch/{name}/{file}")
}
