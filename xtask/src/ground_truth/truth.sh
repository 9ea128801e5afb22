# Ground truth: every run of estimation_timer as the kernel's own timer tracepoints see it, without
# any code of ours. Sourced by scripts that run in the guest.
#
# A hist trigger notes when the timer's callback is entered, a second one the time until it is left, and
# hands both to a synthetic event that a tracing instance of its own records.
#
# A kernel without hist triggers (Debian's 5.10) records the tracepoints themselves, whose text has microseconds.

tracing=/sys/kernel/tracing
truth=$tracing/instances/truth

# `truth_begin [KIB [TIMERS]]`: so large a buffer a CPU, and so many timers at once (a power of two).
truth_begin() {
    mkdir $truth
    truth_timers=${2:-2048}
    echo ${1:-4096} > $truth/buffer_size_kb
    [ -e $tracing/synthetic_events ] || { truth_begin_plain; return; }
    echo 'estimator_run u64 begin; u64 lasted' > $tracing/synthetic_events
    truth_arm
    echo 1 > $truth/events/synthetic/estimator_run/enable
}

truth_begin_plain() {
    echo mono > $truth/trace_clock
    truth_address
    echo "function == $address" > $truth/events/timer/timer_expire_entry/filter
    for event in entry exit; do
        echo 1 > $truth/events/timer/timer_expire_$event/enable
    done
}

truth_address() {
    address=$(awk '$3 == "estimation_timer" && $4 == "[ip_vs]" { print "0x" $1 }' /proc/kallsyms)
}

# `truth_chains_begin`: as `truth_begin`, records every run of a kernel thread over a chain, with kprobe events. Only after the
# threads have calibrated: the events would disturb that.
truth_chains_begin() {
    mkdir $truth
    echo 4096 > $truth/buffer_size_kb
    echo 'estimator_run u64 begin; u64 lasted' > $tracing/synthetic_events
    echo 'p:truth/chain_in ip_vs:ip_vs_chain_estimation' >> $tracing/kprobe_events
    echo 'r:truth/chain_out ip_vs:ip_vs_chain_estimation' >> $tracing/kprobe_events
    echo 'hist:keys=common_pid:ts0=common_timestamp:clock=mono' > $tracing/events/truth/chain_in/trigger
    echo 'hist:keys=common_pid:begin=$ts0,lasted=common_timestamp-$ts0:onmatch(truth.chain_in).trace(estimator_run,$begin,$lasted)'':clock=mono' \
        > $tracing/events/truth/chain_out/trigger
    echo 1 > $truth/events/synthetic/estimator_run/enable
}

# After ip_vs was unloaded and loaded again, before the first timer can fire two seconds later: the function
# is at another address.
truth_follow() { truth_disarm; truth_arm; }

truth_arm() {
    truth_address
    echo "hist:keys=timer:ts0=common_timestamp:size=$truth_timers:clock=mono if function == $address" \
        > $tracing/events/timer/timer_expire_entry/trigger
    echo 'hist:keys=timer:begin=$ts0,lasted=common_timestamp-$ts0:onmatch(timer.timer_expire_entry).trace(estimator_run,$begin,$lasted)'":size=$truth_timers:clock=mono" \
        > $tracing/events/timer/timer_expire_exit/trigger
}

truth_disarm() {
    for event in exit entry; do
        trigger=$tracing/events/timer/timer_expire_$event/trigger
        grep -v '^#' $trigger | while IFS= read -r line; do
            echo "!${line%% \[*}" > $trigger
        done
    done
}

# Forgets the runs so far.
truth_clear() { echo > $truth/trace; }

# One line a run: begin in ns of CLOCK_MONOTONIC, duration in ns, CPU.
truth_runs() {
    [ -e $tracing/synthetic_events ] || { truth_runs_plain; return; }
    awk '/ estimator_run: / {
        cpu = $0; sub(/^[^[]*\[0*/, "", cpu); sub(/\].*/, "", cpu)
        begin = $0; sub(/.*begin=/, "", begin); sub(/ .*/, "", begin)
        lasted = $0; sub(/.*lasted=/, "", lasted); sub(/ .*/, "", lasted)
        print begin, lasted, (cpu == "" ? 0 : cpu)
    }' $truth/trace
}

# The exit tracepoint names the timer, not its function. A duration is rounded up.
truth_runs_plain() {
    awk '/ timer_expire_(entry|exit): / {
        cpu = $0; sub(/^[^[]*\[0*/, "", cpu); sub(/\].*/, "", cpu)
        timer = $0; sub(/.*timer=/, "", timer); sub(/ .*/, "", timer)
        at = $0; sub(/: timer_expire_.*/, "", at); sub(/.* /, "", at); sub(/\./, "", at)
        if (/ timer_expire_entry: /) { entered[cpu] = at; entered_timer[cpu] = timer }
        else if (cpu in entered && entered_timer[cpu] == timer) {
            printf "%s000 %s000 %s\n", entered[cpu], at - entered[cpu] + 1, (cpu == "" ? 0 : cpu)
            delete entered[cpu]
        }
    }' $truth/trace
}

truth_end() {
    echo 0 > $truth/events/synthetic/estimator_run/enable
    truth_disarm
    rmdir $truth
    echo > $tracing/synthetic_events
}
