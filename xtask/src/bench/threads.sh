# What `cargo xtask bench` runs in a guest where kernel threads estimate: one thing after the other attached to the
# function that goes over a chain, and left there for some rounds. Says on standard output, a line each:
#
#   kernel RELEASE
#   attaching WHAT
#   run BEGIN LASTED      one time of such a thread on its CPU, in ns: a tick of its round (1 ns is 1 instruction)
#
# `sched_switch` shows how long the thread was on the CPU, so that nothing else is attached to the function.

tracing=/sys/kernel/tracing
ticks=$tracing/instances/ticks
mkdir $ticks
echo 4096 > $ticks/buffer_size_kb
echo 'tick u64 begin; u64 lasted' > $tracing/synthetic_events
switch=$tracing/events/sched/sched_switch/trigger
echo 'hist:keys=next_pid:ts0=common_timestamp:clock=mono if next_comm ~ "ipvs-e*"' > $switch
echo 'hist:keys=prev_pid:begin=$ts0,lasted=common_timestamp-$ts0:onmatch(sched.sched_switch).trace(tick,$begin,$lasted)'':clock=mono if prev_comm ~ "ipvs-e*"' >> $switch
echo 1 > $ticks/events/synthetic/tick/enable

# Rounds take 2 s.
measure() {
    echo > $ticks/trace
    sleep 25
    echo "attaching $1"
    awk '/ tick: / {
        begin = $0; sub(/.*begin=/, "", begin); sub(/ .*/, "", begin)
        lasted = $0; sub(/.*lasted=/, "", lasted); sub(/ .*/, "", lasted)
        print "run", begin, lasted
    }' $ticks/trace
}

# under WHAT WORDS COMMAND: measures beside COMMAND, which must run until it is killed, and print WORDS.
under() {
    what=$1; words=$2; shift 2
    "$@" > /tmp/out 2>&1 & tool=$!
    sleep 5
    measure $what
    kill $tool && { wait $tool || :; } && grep -q -F "$words" /tmp/out && return
    echo "$what did not do its work; it said:" >&2
    cat /tmp/out >&2
    exit 1
}

set -e
echo "kernel $(uname -r)"
# Until the kernel has distributed the estimators.
sleep 5
measure nothing
under empty_pair attached /root/empty_pair ip_vs_chain_estimation
under watch '"type":"chain_run"' ipvs-latency watch --json
sleep 2
measure nothing
