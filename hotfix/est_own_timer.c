// SPDX-License-Identifier: GPL-2.0
/*
 * Sets a timer of its own beside the estimator's, and never takes it back: after the module is removed, its expiry is a
 * panic. Nothing that reads the file can tell, for a module may well clear up in its exit function.
 */
#include "estimator.h"

static void later(struct timer_list *unused)
{
}

static DEFINE_TIMER(own, later);

static void forgetful_estimation(struct timer_list *t)
{
	mod_timer(&own, jiffies + 3 * HZ);
	mod_timer(t, jiffies + PERIOD);
}

HOTFIX(forgetful_estimation);
