// SPDX-License-Identifier: GPL-2.0
/* As est_skip, under the name of the function that it replaces. */
#include "estimator.h"

static void estimation_timer(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

HOTFIX(estimation_timer);
