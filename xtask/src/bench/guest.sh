# What `cargo xtask bench` runs in the guest: one thing after the other attached to the estimator, left there
# for a dozen runs, and taken away. Says on standard output, a line each:
#
#   kernel RELEASE
#   attaching WHAT
#   event TRACE-LINE      what the kernel saw of the attaching, in the order of time
#   run BEGIN LASTED CPU  a run of the estimator, from truth.sh
#   softirq WHICH LASTED  a timer with what the softirq does around it: run (of the estimator), other
#
# OTHER_WAYS names what else is attached: how our program measures on kernels that lack something.
#
# Nothing here asks whether something is attached: the kernel notes it, and whoever reads this works it out.

. /root/truth.sh

events=$tracing/instances/events

# The moments of an attachment. Whether a tool asks by bpf() or by ioctl(), its program is attached when the
# array of an event's programs has been copied with it in. Idle time, which passes without instructions, is
# between a switch to task 0 and one away from it.
events_begin() {
    mkdir $events
    echo mono > $events/trace_clock
    echo 'r:bench/accepted bpf_prog_array_copy result=$retval:s32' >> $tracing/kprobe_events
    echo 'prev_pid == 0 || next_pid == 0' > $events/events/sched/sched_switch/filter
    for event in sched/sched_switch sched/sched_process_exec bench/accepted; do
        echo 1 > $events/events/$event/enable
    done
}

# What a timer takes from its entry to what comes next in the softirq: with what is done before and behind its function. The
# machine has one CPU, whose time stamp counter counts instructions. The timer of tcp_orphan_update always takes as long, and
# stands for all others.
softirqs=$tracing/instances/softirqs
softirqs_begin() {
    mkdir $softirqs
    echo 4096 > $softirqs/buffer_size_kb
    echo x86-tsc > $softirqs/trace_clock
    echo 'vec == 1' > $softirqs/events/irq/softirq_exit/filter
}
# Not while runs are measured: these events would be part of them.
softirqs_watch() {
    for switch in 1 0; do
        echo $switch > $softirqs/events/irq/softirq_exit/enable
        echo $switch > $softirqs/events/timer/timer_expire_entry/enable
        [ $switch = 0 ] || sleep 13
    done
}
softirqs_seen() {
    awk '{
        if (!match($0, / [0-9]+: [a-z_]+: /)) next
        what = substr($0, RSTART + 1, RLENGTH - 3); at = what
        sub(/:.*/, "", at); sub(/^[0-9]+: /, "", what)
        if (timer == "run") print "softirq run", at - since
        if (timer == "other" && what == "softirq_exit") print "softirq other", at - since
        since = at; timer = ""
        if (/ function=estimation_timer/) timer = "run"
        if (/ function=tcp_orphan_update/) timer = "other"
    }' $softirqs/trace
}

mark() { echo "$1" > $events/trace_marker; }

# measure WHAT: attaches it by the function WHAT and detaches it by WHAT_end. A run every 2 s.
measure() {
    echo "attaching $1"
    echo > $events/trace
    echo > $truth/trace
    echo > $softirqs/trace
    $1
    sleep 25
    mark detaching
    softirqs_watch
    $1_end
    mark detached
    sleep 7
    grep -v '^#' $events/trace | sed 's/^/event /'
    truth_runs | sed 's/^/run /'
    softirqs_seen
}

start() { "$@" > /tmp/out 2>&1 & tool=$!; }

# stop [WORDS]: ends the program started last, which must not have ended before, and must have said WORDS.
stop() {
    kill $tool && { wait $tool || :; } && grep -q -F "$1" /tmp/out && return
    echo "$what did not do its work; it said:" >&2
    cat /tmp/out >&2
    exit 1
}

nothing() { mark attached; }
nothing_end() { :; }

empty_pair() { start /root/empty_pair estimation_timer; }
empty_pair_end() { stop 'attached'; }

tracefs_events() {
    echo 'p:bench/entered ip_vs:estimation_timer' >> $tracing/kprobe_events
    echo 'r:bench/left ip_vs:estimation_timer' >> $tracing/kprobe_events
    echo 1 > $tracing/events/bench/entered/enable
    echo 1 > $tracing/events/bench/left/enable
    mark attached
}
tracefs_events_end() {
    for event in entered left; do
        echo 0 > $tracing/events/bench/$event/enable
        echo "-:bench/$event" >> $tracing/kprobe_events
    done
    echo > $tracing/trace
}

bpftrace_hist() {
    start bpftrace -e '
        kprobe:estimation_timer { @start[tid] = nsecs; }
        kretprobe:estimation_timer /@start[tid]/ {
            @us = hist((nsecs - @start[tid]) / 1000);
            delete(@start[tid]);
        }'
}
bpftrace_hist_end() { stop '@us:'; }

watch() { start ipvs-latency watch --json; }
watch_end() { stop '"type":"call"'; }

# What this program leaves out as if the kernel did not have it.
without() { export IPVS_LATENCY_WITHOUT=$1; watch; unset IPVS_LATENCY_WITHOUT; }
watch_without_loop() { without bpf_loop; }
watch_without_loop_end() { watch_end; }
watch_without_module_btf() { without module_btf; }
watch_without_module_btf_end() { watch_end; }

# Without eBPF: no event tells when it is attached. That is once it knows every timer, and tells of its first run.
via() {
    start ipvs-latency watch --json --via $1
    until grep -q '"type":"call"' /tmp/out; do sleep 0.1; done
    mark attached
}
watch_via_perf() { via perf; }
watch_via_perf_end() { watch_end; }
watch_via_tracefs() { via tracefs; }
watch_via_tracefs_end() { watch_end; }

function_graph() {
    echo estimation_timer > $tracing/set_graph_function
    echo function_graph > $tracing/current_tracer
    mark attached
}
function_graph_end() {
    echo nop > $tracing/current_tracer
    echo > $tracing/set_graph_function
}

set -e
echo "kernel $(uname -r)"
truth_begin
softirqs_begin
events_begin
for what in nothing empty_pair tracefs_events bpftrace_hist watch $OTHER_WAYS function_graph; do
    measure $what
done
