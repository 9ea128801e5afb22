// SPDX-License-Identifier: GPL-2.0
/* Sets the timer through a pointer, which nobody can follow who only reads. */
#include "estimator.h"

static int (*again)(struct timer_list *t, unsigned long expires) = mod_timer;

module_param_named(unused, *(ulong *)&again, ulong, 0);

static void indirect_estimation(struct timer_list *t)
{
	again(t, jiffies + PERIOD);
}

HOTFIX(indirect_estimation);
