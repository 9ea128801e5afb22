// SPDX-License-Identifier: GPL-2.0
/* Replaces a function that ip_vs does not have. */
#include "estimator.h"

static void skip_estimation(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

MODULE_INFO(livepatch, "Y");
HOTFIX_PATCH("ip_vs", "estimation_timer_of_another_kernel", skip_estimation);
