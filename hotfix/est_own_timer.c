// SPDX-License-Identifier: GPL-2.0
/*
 * Sets a timer of its own beside the estimator's, and never takes it back: after the module is removed, its expiry is a
 * panic. Nothing that reads the file can tell, for which timer it is stands in a variable that a parameter may change.
 */
#include "estimator.h"

static void later(struct timer_list *unused)
{
}

static DEFINE_TIMER(own, later);
static struct timer_list *which = &own;

module_param_named(unused, *(ulong *)&which, ulong, 0);

static void forgetful_estimation(struct timer_list *t)
{
	mod_timer(which, jiffies + 3 * HZ);
	mod_timer(t, jiffies + PERIOD);
}

HOTFIX(forgetful_estimation);
