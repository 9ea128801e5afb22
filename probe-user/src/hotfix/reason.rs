//! Why a task is not through yet, in the kernel's own words: `klp_try_switch_task` writes them to the log once its
//! messages are switched on (`kernel/livepatch/transition.c`, `Documentation/admin-guide/dynamic-debug-howto.rst`).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Where messages are switched; the first needs no debugfs (Linux 5.7).
const CONTROLS: [&str; 2] = [
    "proc/dynamic_debug/control",
    "sys/kernel/debug/dynamic_debug/control",
];

const SOURCE: &str = "kernel/livepatch/transition.c";

/// What begins each such line.
const LINE: &str = "klp_try_switch_task: ";

/// The kernel's messages about tasks, switched on. Dropping it puts them back as they were.
#[derive(Debug)]
pub struct Messages {
    control: PathBuf,
    /// Lines of the source whose messages were on before.
    were_on: Vec<u32>,
}

impl Messages {
    /// Switches them on; `None` where this kernel has no such switch.
    pub fn switch_on(root: &Path) -> Option<Self> {
        let messages = Self::as_found(root)?;
        messages.write(&format!("file {SOURCE} +p")).ok()?;
        Some(messages)
    }

    /// Leaves them as they are, so that dropping it puts back what somebody else switched meanwhile.
    pub fn as_found(root: &Path) -> Option<Self> {
        let control = CONTROLS
            .iter()
            .map(|file| root.join(file))
            .find(|file| file.exists())?;
        let were_on = lines_on(&fs::read_to_string(&control).ok()?)?;
        Some(Self { control, were_on })
    }

    fn write(&self, query: &str) -> io::Result<()> {
        fs::write(&self.control, query)
    }

    fn put_back(&self) -> io::Result<()> {
        self.write(&format!("file {SOURCE} -p"))?;
        self.were_on
            .iter()
            .try_for_each(|line| self.write(&format!("file {SOURCE} line {line} +p")))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            log::warn!(
                "the kernel's messages of {SOURCE} stay switched on ({error}): write 'file {SOURCE} -p' to /{}",
                CONTROLS[0]
            );
        }
    }
}

/// The lines of the source whose messages are on; `None` where there are none of it.
/// `kernel/livepatch/transition.c:359 [transition]klp_try_switch_task =p "..."`.
fn lines_on(control: &str) -> Option<Vec<u32>> {
    let mut known = false;
    let mut on = Vec::new();
    for line in control.lines() {
        let Some(rest) = line
            .strip_prefix(SOURCE)
            .and_then(|rest| rest.strip_prefix(':'))
        else {
            continue;
        };
        known = true;
        let number = rest
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok());
        let flags = rest
            .split(" \"")
            .next()
            .and_then(|head| head.rsplit_once('='));
        if let (Some(number), Some((_, flags))) = (number, flags)
            && flags.contains('p')
        {
            on.push(number);
        }
    }
    known.then_some(on)
}

/// The last reason told for each task.
#[derive(Debug, Default)]
pub struct Reasons(BTreeMap<u32, String>);

impl Reasons {
    /// Finds them among lines of the kernel's log: `klp_try_switch_task: COMM:PID is running`.
    pub fn parse(lines: &[String]) -> Self {
        let told = lines.iter().filter_map(|line| {
            let (_, said) = line.split_once(LINE)?;
            let (at, why) = [" is ", " has "]
                .iter()
                .find_map(|verb| Some((said.rfind(verb)?, said.get(said.rfind(verb)? + 1..)?)))?;
            let (_, tid) = said.get(..at)?.rsplit_once(':')?;
            Some((tid.parse().ok()?, why.to_owned()))
        });
        Self(told.collect())
    }

    /// That of a task.
    pub fn of(&self, tid: u32) -> Option<&str> {
        self.0.get(&tid).map(String::as_str)
    }

    /// Whether an idle CPU, whose task has the number 0, was among them.
    pub fn of_idle_cpu(&self) -> Option<&str> {
        self.of(0)
    }
}

/// Whether a line of the log is there only because these messages were switched on.
pub fn is_ours(line: &str) -> bool {
    line.contains(LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "\
kernel/livepatch/core.c:10 [livepatch]klp_init =p \"x\\012\"
kernel/livepatch/transition.c:359 [transition]klp_try_switch_task =_ \"%s: %s:%d is running = p\\012\"
kernel/livepatch/transition.c:363 [transition]klp_try_switch_task =pmf \"%s: x\\012\"
";

    #[test]
    fn messages_are_put_back_as_they_were() {
        assert_eq!(lines_on(CONTROL), Some(vec![363]));
        assert_eq!(
            lines_on("kernel/livepatch/core.c:10 [livepatch]f =p \"\"\n"),
            None
        );
        let root = tempfile::tempdir().unwrap();
        assert!(Messages::switch_on(root.path()).is_none());
        let control = root.path().join(CONTROLS[1]);
        fs::create_dir_all(control.parent().unwrap()).unwrap();
        fs::write(&control, CONTROL).unwrap();
        let written = || fs::read_to_string(&control).unwrap();
        let messages = Messages::switch_on(root.path()).unwrap();
        assert_eq!(written(), "file kernel/livepatch/transition.c +p");
        drop(messages);
        assert_eq!(written(), "file kernel/livepatch/transition.c line 363 +p");
    }

    #[test]
    fn the_last_reason_of_each_task_counts() {
        let lines = [
            "livepatch: klp_try_switch_task: a is b:7 is running",
            "livepatch: klp_try_switch_task: kworker/0:1:7 has an unreliable stack",
            "livepatch: klp_try_switch_task: swapper/1:0 is running",
            "livepatch: 'x': patching complete",
        ]
        .map(str::to_owned);
        let reasons = Reasons::parse(&lines);
        assert_eq!(reasons.of(7), Some("has an unreliable stack"));
        assert_eq!(reasons.of_idle_cpu(), Some("is running"));
        assert_eq!(reasons.of(8), None);
        assert!(is_ours(&lines[0]) && !is_ours(&lines[3]));
    }
}
