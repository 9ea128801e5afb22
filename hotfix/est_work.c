// SPDX-License-Identifier: GPL-2.0
/* Has work done later by code of its own, and never waits for it: removed in between, the module is a panic. */
#include <linux/workqueue.h>

#include "estimator.h"

static void later(struct work_struct *unused)
{
}

static DECLARE_DELAYED_WORK(own, later);

static void working_estimation(struct timer_list *t)
{
	schedule_delayed_work(&own, 10 * HZ);
	mod_timer(t, jiffies + PERIOD);
}

HOTFIX(working_estimation);
