// SPDX-License-Identifier: GPL-2.0
/* est_skip, and hold_nap of hold_task beside it: a task that sleeps in either of the two keeps a transition from its end. */
#include <linux/sched.h>

#include "estimator.h"

static void skip_estimation(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

static void nap_anew(unsigned int seconds)
{
	schedule_timeout_uninterruptible(seconds * HZ);
	/* No jump at the end: this function is to stay on the stack. */
	barrier();
}

static struct klp_func estimator_funcs[] = {
	{ .old_name = "estimation_timer", .new_func = skip_estimation }, { }
};
static struct klp_func nap_funcs[] = {
	{ .old_name = "hold_nap", .new_func = nap_anew }, { }
};
static struct klp_object objs[] = {
	{ .name = "ip_vs", .funcs = estimator_funcs },
	{ .name = "hold_task", .funcs = nap_funcs }, { }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

static int __init hotfix_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit hotfix_exit(void)
{
}

module_init(hotfix_init);
module_exit(hotfix_exit);
MODULE_INFO(livepatch, "Y");
