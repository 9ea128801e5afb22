//! What the kernel keeps of what a module gives it, and which calls release that, by the names of functions.

use super::{callees::STARTERS, kpatch::plain_name};

/// A way in which the kernel keeps what it is given, and comes back to it later.
#[derive(Debug, Clone, Copy)]
pub struct Keeper {
    /// Functions that do so.
    pub names: &'static [&'static str],
    /// Which argument is the object that is kept, from 0; `None` where it is another.
    pub object: Option<usize>,
    /// Which argument is a function that is kept with it.
    pub code: Option<usize>,
    /// Whether the object is only made ready: an object of the module itself is then none of the kernel's yet.
    pub prepares: bool,
    /// Functions that wait until the kernel has released the object, which is their first argument.
    pub undone_by: &'static [&'static str],
    /// Functions that wait for all objects of the kind.
    pub all_undone_by: &'static [&'static str],
    /// Functions that wait for an object, or for all of a queue, unless the object is handed over again meanwhile.
    pub perhaps_undone_by: &'static [&'static str],
}

const TIMER_ENDS: &[&str] = &["del_timer_sync", "timer_delete_sync", "timer_shutdown_sync"];
const WORK_ENDS: &[&str] = &[
    "cancel_work_sync",
    "cancel_delayed_work_sync",
    "cancel_rcu_work_sync",
    "disable_work_sync",
    "disable_delayed_work_sync",
];
const KTHREAD_WORK_ENDS: &[&str] = &[
    "kthread_cancel_work_sync",
    "kthread_cancel_delayed_work_sync",
];

/// A flush is the end of work that is not queued again, which reading cannot tell.
const WORK_FLUSHES: &[&str] = &[
    "__flush_workqueue",
    "destroy_workqueue",
    "drain_workqueue",
    "flush_delayed_work",
    "flush_rcu_work",
    "flush_work",
    "flush_workqueue",
];
const KTHREAD_WORK_FLUSHES: &[&str] = &[
    "kthread_destroy_worker",
    "kthread_flush_work",
    "kthread_flush_worker",
];

/// All that are known.
const KEEPERS: [Keeper; 18] = [
    Keeper {
        names: &[
            "init_timer_key",
            "timer_init_key",
            "init_timer_on_stack_key",
        ],
        object: Some(0),
        code: Some(1),
        prepares: true,
        undone_by: TIMER_ENDS,
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &STARTERS,
        object: Some(0),
        code: None,
        prepares: false,
        undone_by: TIMER_ENDS,
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &[
            "queue_work_on",
            "queue_delayed_work_on",
            "mod_delayed_work_on",
            "queue_work_node",
        ],
        object: Some(2),
        code: None,
        prepares: false,
        undone_by: WORK_ENDS,
        all_undone_by: &[],
        perhaps_undone_by: WORK_FLUSHES,
    },
    Keeper {
        names: &["schedule_work", "schedule_delayed_work"],
        object: Some(0),
        code: None,
        prepares: false,
        undone_by: WORK_ENDS,
        all_undone_by: &[],
        perhaps_undone_by: WORK_FLUSHES,
    },
    Keeper {
        names: &["queue_rcu_work"],
        object: Some(1),
        code: None,
        prepares: false,
        undone_by: WORK_ENDS,
        all_undone_by: &[],
        perhaps_undone_by: WORK_FLUSHES,
    },
    Keeper {
        names: &[
            "kthread_queue_work",
            "kthread_queue_delayed_work",
            "kthread_mod_delayed_work",
        ],
        object: Some(1),
        code: None,
        prepares: false,
        undone_by: KTHREAD_WORK_ENDS,
        all_undone_by: &[],
        perhaps_undone_by: KTHREAD_WORK_FLUSHES,
    },
    Keeper {
        names: &["call_rcu", "call_rcu_hurry"],
        object: Some(0),
        code: Some(1),
        prepares: false,
        undone_by: &[],
        all_undone_by: &["rcu_barrier"],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &[
            "call_rcu_tasks",
            "call_rcu_tasks_rude",
            "call_rcu_tasks_trace",
        ],
        object: Some(0),
        code: Some(1),
        prepares: false,
        undone_by: &[],
        all_undone_by: &[
            "rcu_barrier_tasks",
            "rcu_barrier_tasks_rude",
            "rcu_barrier_tasks_trace",
        ],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["call_srcu"],
        object: Some(1),
        code: Some(2),
        prepares: false,
        undone_by: &[],
        all_undone_by: &["srcu_barrier"],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["hrtimer_setup"],
        object: Some(0),
        code: Some(1),
        prepares: true,
        undone_by: &["hrtimer_cancel"],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["hrtimer_start_range_ns", "hrtimer_start_expires"],
        object: Some(0),
        code: None,
        prepares: false,
        undone_by: &["hrtimer_cancel"],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["tasklet_init", "tasklet_setup"],
        object: Some(0),
        code: Some(1),
        prepares: true,
        undone_by: &["tasklet_kill"],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["__tasklet_schedule", "__tasklet_hi_schedule"],
        object: Some(0),
        code: None,
        prepares: false,
        undone_by: &["tasklet_kill"],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["irq_work_queue", "irq_work_queue_on"],
        object: Some(0),
        code: None,
        prepares: false,
        undone_by: &["irq_work_sync"],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["task_work_add"],
        object: Some(1),
        code: None,
        prepares: false,
        undone_by: &[],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["smp_call_function_single_async"],
        object: Some(1),
        code: None,
        prepares: false,
        undone_by: &[],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &["request_threaded_irq"],
        object: Some(4),
        code: Some(1),
        prepares: false,
        undone_by: &[],
        all_undone_by: &["free_irq"],
        perhaps_undone_by: &[],
    },
    Keeper {
        names: &[
            "kthread_create_on_node",
            "kthread_create_on_cpu",
            "kernel_thread",
        ],
        object: None,
        code: Some(0),
        prepares: false,
        undone_by: &["kthread_stop"],
        all_undone_by: &[],
        perhaps_undone_by: &[],
    },
];

/// Returns what the kernel keeps of what a function is given, if the function is known for that.
pub fn keeper(symbol: &str) -> Option<&'static Keeper> {
    let plain = plain_name(symbol);
    KEEPERS.iter().find(|keeper| keeper.names.contains(&plain))
}

/// Returns whether a function waits until the kernel has released something, whatever it is, or unregisters something.
pub fn lets_go(symbol: &str) -> bool {
    let plain = plain_name(symbol);
    let ends = |keeper: &Keeper| {
        keeper.undone_by.contains(&plain)
            || keeper.all_undone_by.contains(&plain)
            || keeper.perhaps_undone_by.contains(&plain)
    };
    KEEPERS.iter().any(ends) || plain.contains("unregister") || plain == "kfree"
}

/// Returns whether a function registers something with the kernel, by its name: `register_netdevice_notifier`,
/// `nf_register_net_hook`.
pub fn registers(symbol: &str) -> bool {
    let mut words = plain_name(symbol).split('_');
    words.any(|word| word == "register")
}

/// More often than once or twice no name says so.
const MOST_WORDS: usize = 4;

/// Returns the names of functions that may unregister what `registrar` registered.
pub fn unregistrars(registrar: &str) -> Vec<String> {
    let registrar = plain_name(registrar);
    let words = registrar.match_indices("register").take(MOST_WORDS);
    let ends = words.flat_map(|(at, word)| {
        let (before, after) = (&registrar[..at], &registrar[at + word.len()..]);
        ["unregister", "deregister"].map(|end| format!("{before}{end}{after}"))
    });
    ends.collect()
}

/// Functions that use code they are given while they run, and have forgotten it when they return.
const BORROWERS: [&str; 24] = [
    "__warn_printk",
    "_printk",
    "bsearch",
    "class_for_each_device",
    "idr_for_each",
    "iterate_fd",
    "kallsyms_on_each_symbol",
    "klp_enable_patch",
    "klp_shadow_alloc",
    "klp_shadow_free",
    "klp_shadow_free_all",
    "klp_shadow_get_or_alloc",
    "list_sort",
    "on_each_cpu_cond_mask",
    "printk",
    "schedule_on_each_cpu",
    "smp_call_on_cpu",
    "sort",
    "sort_r",
    "stop_machine",
    "stop_machine_cpuslocked",
    "try_module_get",
    "module_put",
    "work_on_cpu",
];

/// Returns whether a function is known for that.
pub fn borrows(symbol: &str) -> bool {
    BORROWERS.contains(&plain_name(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_back_a_registration_is_known_by_its_name() {
        for (registrar, symbol, is) in [
            (
                "register_netdevice_notifier",
                "unregister_netdevice_notifier",
                true,
            ),
            ("nf_register_net_hook", "nf_unregister_net_hook", true),
            ("misc_register", "misc_deregister", true),
            ("misc_register", "misc_register", false),
            ("register_kprobe", "unregister_netdevice_notifier", false),
        ] {
            assert!(registers(registrar));
            let ends = unregistrars(registrar);
            assert_eq!(
                ends.iter().any(|end| end == symbol),
                is,
                "{registrar} {symbol}"
            );
        }
        assert!(!registers("klp_enable_patch"));
    }
}
