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

/// What begins each such line, after the name of the subsystem.
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
    #[must_use]
    pub fn switch_on(root: &Path) -> Option<Self> {
        let messages = Self::as_found(root)?;
        messages.write(&format!("file {SOURCE} +p")).ok()?;
        Some(messages)
    }

    /// Leaves them as they are, so that dropping it puts back what somebody else switched meanwhile.
    #[must_use]
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
    /// Finds them among lines of the kernel's log: `livepatch: klp_try_switch_task: COMM:PID is running`.
    #[must_use]
    pub fn parse(lines: &[String]) -> Self {
        let told = lines.iter().filter_map(|line| reason(said(line)?));
        Self(told.map(|(tid, why)| (tid, why.to_owned())).collect())
    }

    /// That of a task.
    pub fn reason_of(&self, tid: u32) -> Option<&str> {
        self.0.get(&tid).map(String::as_str)
    }

    /// Whether an idle CPU, whose task has the number 0, was among them.
    #[must_use]
    pub fn of_idle_cpu(&self) -> Option<&str> {
        self.reason_of(0)
    }
}

/// Returns what such a line says; `None` for any other. Who switched the messages on may have asked for more of them:
/// `[12] livepatch:klp_try_switch_task:359: livepatch: klp_try_switch_task: ...`.
fn said(line: &str) -> Option<&str> {
    let (before, said) = line.split_once(LINE)?;
    let before = before.strip_suffix("livepatch: ")?;
    let in_brackets = |rest: &str| {
        Some(
            rest.split_once("] ")?
                .0
                .bytes()
                .all(|byte| byte.is_ascii_digit()),
        )
    };
    let context = before.strip_prefix("<intr> ").or_else(|| {
        let rest = before.strip_prefix('[')?;
        in_brackets(rest)?
            .then(|| rest.split_once("] "))?
            .map(|(_, rest)| rest)
    });
    let place = context.unwrap_or(before);
    let is_place = |word: &str| {
        matches!(
            word,
            "" | "livepatch" | "transition" | "klp_try_switch_task" | " "
        ) || word.bytes().all(|byte| byte.is_ascii_digit())
    };
    place.split(':').all(is_place).then_some(said)
}

/// Returns the task, and the reason: `COMM:PID is running`, `COMM:PID has an unreliable stack` and
/// `COMM:PID is sleeping on function NAME`. What comes before the number may hold any of these words; what comes after it is
/// the kernel's alone.
fn reason(said: &str) -> Option<(u32, &str)> {
    let why = |ending: &str| said.strip_suffix(ending).map(str::len);
    let end = why(" is running").or_else(|| why(" has an unreliable stack"));
    let end = end.or_else(|| {
        let (task, function) = said.rsplit_once(" is sleeping on function ")?;
        (!function.contains(' ')).then_some(task.len())
    })?;
    let (task, why) = said.split_at_checked(end)?;
    let (_, tid) = task.rsplit_once(':')?;
    let is_number = tid.bytes().all(|byte| byte.is_ascii_digit());
    Some((tid.parse().ok().filter(|_| is_number)?, why.trim_start()))
}

/// Whether a line of the log is there only because these messages were switched on.
#[must_use]
pub fn is_ours(line: &str) -> bool {
    said(line).is_some()
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
        assert_eq!(reasons.reason_of(7), Some("has an unreliable stack"));
        assert_eq!(reasons.of_idle_cpu(), Some("is running"));
        assert_eq!(reasons.reason_of(8), None);
        assert!(is_ours(&lines[0]) && !is_ours(&lines[3]));
    }

    #[test]
    fn no_name_of_a_task_passes_for_the_kernels_words() {
        let names = [
            "a:1 is running",
            "x:1 is y",
            ":1 has an unrel",
            " is sleeping on",
            "7:8 is b:9",
            ":",
            "",
            "livepatch: klp_",
        ];
        for name in names {
            for why in [
                "is running",
                "has an unreliable stack",
                "is sleeping on function hold_nap",
            ] {
                let line = format!("livepatch: klp_try_switch_task: {name}:77 {why}");
                let reasons = Reasons::parse(&[line]);
                assert_eq!(reasons.0.len(), 1, "{name}: {reasons:?}");
                assert_eq!(reasons.reason_of(77), Some(why), "{name}");
            }
        }
    }

    #[test]
    fn only_the_kernels_own_line_gives_a_reason() {
        let more = "livepatch: klp_try_switch_task: a:7 is running";
        for before in [
            "",
            "[12] ",
            "<intr> ",
            "livepatch:klp_try_switch_task:359: ",
            "[3] klp_try_switch_task:359: ",
        ] {
            let reasons = Reasons::parse(&[format!("{before}{more}")]);
            assert_eq!(reasons.reason_of(7), Some("is running"), "{before}");
        }
        for line in [
            "a driver: klp_try_switch_task: a:7 is running",
            "a: livepatch: klp_try_switch_task: a:7 is running",
            "klp_try_switch_task: a:7 is running",
            "livepatch: klp_try_switch_task: a:7 is asleep",
            "livepatch: klp_try_switch_task: a:+7 is running",
            "livepatch: klp_try_switch_task: a is running",
            "livepatch: klp_try_switch_task: a:7 is sleeping on function f g",
        ] {
            assert_eq!(
                Reasons::parse(&[line.to_owned()]).reason_of(7),
                None,
                "{line}"
            );
        }
    }
}
