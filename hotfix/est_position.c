// SPDX-License-Identifier: GPL-2.0
/* Wants the second function of that name, and ip_vs has one. */
#include "estimator.h"

static void skip_estimation(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

MODULE_INFO(livepatch, "Y");
HOTFIX_PATCH_AT("ip_vs", "estimation_timer", 2, skip_estimation);
