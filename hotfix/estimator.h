/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fixtures have in common: the estimator of Linux 4.15 to 6.1, rewritten from include/net/ip_vs.h, and
 * the livepatch around a replacement of it. Nothing here needs more than kernel headers.
 */
#ifndef HOTFIX_ESTIMATOR_H
#define HOTFIX_ESTIMATOR_H

#include <linux/jiffies.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/u64_stats_sync.h>
#include <linux/version.h>
#include <net/ip_vs.h>

MODULE_LICENSE("GPL");

/* The kernel's own period. */
#define PERIOD (2 * HZ)

static inline struct netns_ipvs *ipvs_of(struct timer_list *t)
{
	return container_of(t, struct netns_ipvs, est_timer);
}

/* The switch of Linux 5.16 and later. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 16, 0)
static inline int sysctl_run_estimation(struct netns_ipvs *ipvs)
{
	return 1;
}
#endif

/* A counter is a plain number, or an u64_stats_t (Linux 6.2, and stable kernels from December 2022 on). */
#define read_counter(counter)							\
	_Generic((counter),							\
		 u64: (counter),						\
		 default: u64_stats_read((const u64_stats_t *)&(counter)))

/* Adds up the counters of all CPUs. No structure of its own: the kernel's build would fill it with zeros first. */
static inline void sum_cpus(struct ip_vs_kstats *sum, struct ip_vs_cpu_stats __percpu *stats)
{
	u64 conns, inpkts, outpkts, inbytes, outbytes;
	bool first = true;
	unsigned int seq;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct ip_vs_cpu_stats *own = per_cpu_ptr(stats, cpu);

		do {
			seq = u64_stats_fetch_begin(&own->syncp);
			conns = read_counter(own->cnt.conns);
			inpkts = read_counter(own->cnt.inpkts);
			outpkts = read_counter(own->cnt.outpkts);
			inbytes = read_counter(own->cnt.inbytes);
			outbytes = read_counter(own->cnt.outbytes);
		} while (u64_stats_fetch_retry(&own->syncp, seq));
		sum->conns = first ? conns : sum->conns + conns;
		sum->inpkts = first ? inpkts : sum->inpkts + inpkts;
		sum->outpkts = first ? outpkts : sum->outpkts + outpkts;
		sum->inbytes = first ? inbytes : sum->inbytes + inbytes;
		sum->outbytes = first ? outbytes : sum->outbytes + outbytes;
		first = false;
	}
}

/* Moves an average a quarter of the way to the present rate, in fixed point with so many bits. */
static inline void move_average(u64 *average, u64 *last, u64 now, int bits)
{
	s64 rate = (now - *last) << bits;

	*last = now;
	*average += (rate - (s64)*average) >> 2;
}

static inline void estimate(struct ip_vs_estimator *e)
{
	struct ip_vs_stats *s = container_of(e, struct ip_vs_stats, est);

	spin_lock(&s->lock);
	sum_cpus(&s->kstats, s->cpustats);
	/* Scaled by 2^10 (bytes: 2^5), and over two seconds. */
	move_average(&e->cps, &e->last_conns, s->kstats.conns, 9);
	move_average(&e->inpps, &e->last_inpkts, s->kstats.inpkts, 9);
	move_average(&e->outpps, &e->last_outpkts, s->kstats.outpkts, 9);
	move_average(&e->inbps, &e->last_inbytes, s->kstats.inbytes, 4);
	move_average(&e->outbps, &e->last_outbytes, s->kstats.outbytes, 4);
	spin_unlock(&s->lock);
}

/* One whole run but for the timer, as the kernel has it. */
static inline void walk(struct netns_ipvs *ipvs)
{
	struct ip_vs_estimator *e;

	if (!sysctl_run_estimation(ipvs))
		return;
	spin_lock(&ipvs->est_lock);
	list_for_each_entry(e, &ipvs->est_list, list)
		estimate(e);
	spin_unlock(&ipvs->est_lock);
}

/*
 * A livepatch that puts `replacement` in the place of `function` of `object`: of several of that name, the one at
 * `position`, where 0 says that there is one.
 */
#define HOTFIX_PATCH_AT(object, function, position, replacement, ...)		\
	static struct klp_func funcs[] = {					\
		{ .old_name = function, .new_func = replacement,		\
		  .old_sympos = position }, { }					\
	};									\
	static struct klp_object objs[] = {					\
		{ .name = object, .funcs = funcs }, { }				\
	};									\
	static struct klp_patch patch = {					\
		.mod = THIS_MODULE, .objs = objs, __VA_ARGS__			\
	};									\
	static int __init hotfix_init(void)					\
	{									\
		return klp_enable_patch(&patch);				\
	}									\
	static void __exit hotfix_exit(void)					\
	{									\
	}									\
	module_init(hotfix_init);						\
	module_exit(hotfix_exit)

#define HOTFIX_PATCH(object, function, replacement, ...)			\
	HOTFIX_PATCH_AT(object, function, 0, replacement, __VA_ARGS__)

#define HOTFIX(replacement)							\
	MODULE_INFO(livepatch, "Y");						\
	HOTFIX_PATCH("ip_vs", "estimation_timer", replacement)

#endif
