//! What functions of the kernel do with what they are given, by their names.

use super::kpatch::plain_name;

/// Functions that queue a timer (`include/linux/timer.h` of Linux 5.10 to 6.12).
pub const STARTERS: [&str; 6] = [
    "add_timer",
    "add_timer_global",
    "add_timer_local",
    "add_timer_on",
    "mod_timer",
    "timer_reduce",
];

/// Functions that take a timer out of the queue.
const STOPPERS: [&str; 8] = [
    "del_timer",
    "del_timer_sync",
    "timer_delete",
    "timer_delete_sync",
    "timer_shutdown",
    "timer_shutdown_sync",
    "try_to_del_timer_sync",
    "timer_delete_sync_try",
];

/// Functions that do not return.
const LAST: [&str; 8] = [
    "__fortify_panic",
    "__module_put_and_kthread_exit",
    "__stack_chk_fail",
    "__ubsan_handle_builtin_unreachable",
    "do_exit",
    "fortify_panic",
    "kthread_exit",
    "panic",
];

/// Functions of the kernel that queue no timer of their caller's. Any other one might.
const HARMLESS: [&str; 54] = [
    "___ratelimit",
    "__dynamic_pr_debug",
    "__fentry__",
    "__kmalloc",
    "__list_add_valid",
    "__list_del_entry_valid",
    "__local_bh_enable_ip",
    "__mutex_init",
    "__printk_ratelimit",
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "__tasklet_schedule",
    "__warn_printk",
    "_printk",
    "call_rcu",
    "cancel_delayed_work",
    "cpumask_next",
    "flush_delayed_work",
    "hrtimer_cancel",
    "hrtimer_init",
    "hrtimer_start_range_ns",
    "init_timer_key",
    "jiffies_to_msecs",
    "jiffies_to_usecs",
    "kfree",
    "klp_shadow_alloc",
    "klp_shadow_free",
    "klp_shadow_get",
    "klp_shadow_get_or_alloc",
    "kmalloc_trace",
    "kmem_cache_alloc",
    "kmem_cache_free",
    "ktime_get",
    "ktime_get_mono_fast_ns",
    "ktime_get_real_seconds",
    "ktime_get_seconds",
    "kvfree_call_rcu",
    "local_clock",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "mod_delayed_work_on",
    "mod_timer_pending",
    "printk",
    "queue_delayed_work_on",
    "queue_work_on",
    "refcount_warn_saturate",
    "sched_clock",
    "strcmp",
    "strlen",
    "tasklet_init",
    "tasklet_setup",
    "trace_print_flags_seq",
];

/// Families of such functions, by how their names begin.
const HARMLESS_FAMILIES: [&str; 10] = [
    "__SCT__cond_resched",
    "__SCT__might_resched",
    "__SCT__preempt_schedule",
    "__ubsan_handle_",
    "_find_",
    "_raw_read_",
    "_raw_spin_",
    "_raw_write_",
    "preempt_schedule",
    "pv_ops",
];

/// What a function of the kernel does to a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It queues the timer that is its first argument; for when its second one says, or for some other time.
    Starts { when: bool },
    /// It queues the timer for the time of its second argument, unless the timer is due sooner.
    Reduces,
    /// It queues the timer again if it is queued.
    Moves,
    /// It takes the timer out of the queue.
    Stops,
    /// Nothing.
    Nothing,
    /// It does not return.
    Ends,
    /// It returns to the caller's caller.
    Returns,
    /// Unknown.
    Unknown,
}

/// Returns what a function of that name does to its caller's timer.
pub fn effect(symbol: &str) -> Effect {
    // A function that is not exported may have any name, and what it does is unknown here.
    let plain = plain_name(symbol);
    match plain {
        "timer_reduce" => Effect::Reduces,
        name if STARTERS.contains(&name) => Effect::Starts {
            when: name == "mod_timer",
        },
        "__x86_return_thunk" => Effect::Returns,
        "mod_timer_pending" => Effect::Moves,
        name if STOPPERS.contains(&name) => Effect::Stops,
        name if LAST.contains(&name) => Effect::Ends,
        name if HARMLESS.contains(&name) => Effect::Nothing,
        name if HARMLESS_FAMILIES.iter().any(|one| name.starts_with(one)) => Effect::Nothing,
        _ => Effect::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_only_moved_is_not_started() {
        assert_eq!(effect("mod_timer_pending"), Effect::Moves);
        assert_eq!(
            effect(".klp.sym.vmlinux.mod_timer,0"),
            Effect::Starts { when: true }
        );
        assert_eq!(effect("timer_reduce"), Effect::Reduces);
        assert_eq!(effect("add_timer"), Effect::Starts { when: false });
        assert_eq!(effect("sk_reset_timer"), Effect::Unknown);
    }
}
