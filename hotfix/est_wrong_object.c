// SPDX-License-Identifier: GPL-2.0
/* Looks for the function in the kernel itself in place of ip_vs. */
#include "estimator.h"

static void skip_estimation(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

MODULE_INFO(livepatch, "Y");
HOTFIX_PATCH(NULL, "estimation_timer", skip_estimation);
