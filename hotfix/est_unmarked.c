// SPDX-License-Identifier: GPL-2.0
/* Does not say that it is a livepatch. */
#include "estimator.h"

static void skip_estimation(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

HOTFIX_PATCH("ip_vs", "estimation_timer", skip_estimation);
