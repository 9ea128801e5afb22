//! Kernel threads that estimate, looked at without any probe: twice, with some time between.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::Duration,
};

use anyhow::Context as _;

use crate::probe::Peek;
use host::{
    btf,
    estimator_threads::{self, Estimation, Layout, STRUCTURES},
    kernel_memory::pointer,
    task_facts::TaskFacts,
    time,
};

/// How long is slept at a time, so that a signal ends the wait.
const NAP: Duration = Duration::from_millis(50);

/// What was seen of the threads.
#[derive(Debug)]
pub struct Threads {
    /// For how long, in nanoseconds.
    pub observed_ns: u64,
    /// A signal did not end the time early.
    pub is_whole: bool,
    /// By namespace, in the kernel's order, at the end of that time.
    pub namespaces: Vec<Estimation>,
    /// By thread id, those that were there all the time.
    pub tasks: HashMap<u32, Task>,
}

/// One thread's task.
#[derive(Debug)]
pub struct Task {
    /// At the end of the time.
    pub facts: TaskFacts,
    /// Time on a CPU meanwhile, in nanoseconds.
    pub ran_ns: Option<u64>,
}

/// Looks at the threads for so long.
///
/// # Errors
///
/// When the kernel's memory cannot be read, or does not hold what is sought.
pub fn observe(
    root: &Path,
    duration: Duration,
    asked_to_end: &AtomicBool,
) -> anyhow::Result<Threads> {
    let mut reader = Reader::load(root)?;
    let before = tasks(root, &reader.read()?);
    let begun_ns = time::monotonic_ns()?;
    let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut observed_ns = 0;
    while observed_ns < duration_ns && !asked_to_end.load(Ordering::SeqCst) {
        sleep(NAP);
        observed_ns = time::monotonic_ns()?.saturating_sub(begun_ns);
    }
    let namespaces = reader.read()?;
    let tasks = tasks(root, &namespaces).into_iter();
    let tasks = tasks.map(|(tid, facts)| {
        let begun = before.get(&tid).and_then(|facts| facts.ran_ns);
        let ran_ns = || facts.ran_ns?.checked_sub(begun?);
        (
            tid,
            Task {
                ran_ns: ran_ns(),
                facts,
            },
        )
    });
    Ok(Threads {
        observed_ns,
        is_whole: observed_ns >= duration_ns,
        tasks: tasks.collect(),
        namespaces,
    })
}

fn tasks(root: &Path, namespaces: &[Estimation]) -> HashMap<u32, TaskFacts> {
    let threads = namespaces.iter().flat_map(|one| &one.threads);
    threads
        .filter_map(|thread| Some((thread.tid?, TaskFacts::read(root, thread.tid?))))
        .collect()
}

/// Reads what the kernel keeps of the threads.
struct Reader {
    layout: Layout,
    peek: Peek,
}

impl Reader {
    fn load(root: &Path) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = root.join(file);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let kernel = read("sys/kernel/btf/vmlinux")?;
        let module = fs::read(root.join("sys/kernel/btf/ip_vs")).ok();
        let fields = btf::fields(&kernel, module.as_deref(), STRUCTURES)?;
        let layout = Layout::of(&fields);
        let layout = layout.map_err(|field| {
            anyhow::anyhow!("this kernel has no field {field}: report the output of `uname -a`")
        })?;
        Ok(Self {
            layout,
            peek: Peek::load()?,
        })
    }

    fn read(&mut self) -> anyhow::Result<Vec<Estimation>> {
        let found = self.search();
        // A program that could not be run is no memory that holds nothing.
        match self.peek.trouble() {
            Some(error) => Err(error.into()),
            None => found,
        }
    }

    fn search(&mut self) -> anyhow::Result<Vec<Estimation>> {
        let task = self.peek.task();
        let nsproxy = task.and_then(|task| {
            let at = task + u64::from(self.layout.task_nsproxy);
            pointer(&mut self.peek, at)
        });
        let net = nsproxy.and_then(|nsproxy| {
            let at = nsproxy + u64::from(self.layout.nsproxy_net);
            pointer(&mut self.peek, at)
        });
        let net = net.context("the kernel does not let eBPF read its memory")?;
        Ok(estimator_threads::read(&self.layout, net, &mut self.peek)?)
    }
}
