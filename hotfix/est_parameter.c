// SPDX-License-Identifier: GPL-2.0
/* Sets the timer by a period that is a parameter. */
#include "estimator.h"

static ulong seconds = 2;

module_param(seconds, ulong, 0644);

static void tunable_estimation(struct timer_list *t)
{
	mod_timer(t, jiffies + seconds * HZ);
}

HOTFIX(tunable_estimation);
