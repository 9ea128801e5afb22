// SPDX-License-Identifier: GPL-2.0
/* Leaves a pointer to its own code in the timer: after the module is removed, the next expiry is a panic. */
#include "estimator.h"

static void own_estimation(struct timer_list *t)
{
	t->function = own_estimation;
	mod_timer(t, jiffies + PERIOD);
}

HOTFIX(own_estimation);
