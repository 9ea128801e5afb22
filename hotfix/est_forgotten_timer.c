// SPDX-License-Identifier: GPL-2.0
/* Sets a timer of its own beside the estimator's, and never cancels it: after the module is removed, its expiry is a panic. */
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
