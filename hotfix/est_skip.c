// SPDX-License-Identifier: GPL-2.0
/* No walk, and the kernel's own period. */
#include "estimator.h"

static void skip_estimation(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

HOTFIX(skip_estimation);
