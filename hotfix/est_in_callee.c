// SPDX-License-Identifier: GPL-2.0
/* Sets the timer in a function that it calls. */
#include "estimator.h"

static noinline void again(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

static noinline void work(struct timer_list *t)
{
	again(t);
	barrier();
}

static void nested_estimation(struct timer_list *t)
{
	work(t);
	barrier();
}

HOTFIX(nested_estimation);
