// SPDX-License-Identifier: GPL-2.0
/* Sets a timer of its own beside the estimator's, and cancels it once no task runs its code any more. */
#include "estimator.h"

static void later(struct timer_list *unused)
{
}

static DEFINE_TIMER(own, later);

static void careful_estimation(struct timer_list *t)
{
	mod_timer(&own, jiffies + 3 * HZ);
	mod_timer(t, jiffies + PERIOD);
}

static void cancel(struct klp_object *unused)
{
	del_timer_sync(&own);
}

static struct klp_func funcs[] = {
	{ .old_name = "estimation_timer", .new_func = careful_estimation }, { }
};
static struct klp_object objs[] = {
	{ .name = "ip_vs", .funcs = funcs, .callbacks = { .post_unpatch = cancel } }, { }
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
