//! What tasks are called.

use std::{collections::HashMap, fs, path::Path, rc::Rc};

use model::printable::printable;

/// Tasks looked up between two times of forgetting: each is a file to open.
const LOOKED_UP: usize = 64;

/// Names of tasks, each looked up once until they are forgotten. A task that has ended has none, and one
/// that ended and left its number to another may be told by the other's.
#[derive(Debug, Default)]
pub struct TaskNames(HashMap<u32, Option<Rc<str>>>);

impl TaskNames {
    /// Forgets them all: a number may be another task's by now.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// The name (`comm`) of the task with this number in the host's own numbering, as a terminal can
    /// show it; `None` for one that has ended.
    pub fn name(&mut self, root: &Path, task: u32) -> Option<Rc<str>> {
        if let Some(name) = self.0.get(&task) {
            return name.clone();
        }
        if self.0.len() >= LOOKED_UP {
            return None;
        }
        let name = fs::read(root.join(format!("proc/{task}/comm"))).ok();
        let name: Option<Rc<str>> =
            name.map(|name| printable(String::from_utf8_lossy(&name).trim_end()).into());
        self.0.insert(task, name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_once_until_it_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let comm = root.path().join("proc/42/comm");
        fs::create_dir_all(comm.parent().unwrap()).unwrap();
        fs::write(&comm, "kube-proxy\n").unwrap();
        let mut names = TaskNames::default();
        assert_eq!(names.name(root.path(), 42).as_deref(), Some("kube-proxy"));
        assert_eq!(names.name(root.path(), 43), None);
        fs::write(&comm, "nginx\n").unwrap();
        assert_eq!(names.name(root.path(), 42).as_deref(), Some("kube-proxy"));
        names.forget();
        assert_eq!(names.name(root.path(), 42).as_deref(), Some("nginx"));
    }

    #[test]
    fn a_task_cannot_write_to_the_terminal_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        let comm = root.path().join("proc/42/comm");
        fs::create_dir_all(comm.parent().unwrap()).unwrap();
        fs::write(&comm, b"\x1b[2Jev\xffil\r\n").unwrap();
        let name = TaskNames::default().name(root.path(), 42);
        assert_eq!(name.as_deref(), Some("?[2Jev?il"));
    }

    #[test]
    fn no_more_are_looked_up_than_a_tick_can_bear() {
        let root = tempfile::tempdir().unwrap();
        let mut names = TaskNames::default();
        for task in 0..1_000 {
            assert_eq!(names.name(root.path(), task), None);
        }
        assert_eq!(names.0.len(), LOOKED_UP);
    }
}
