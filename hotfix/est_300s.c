// SPDX-License-Identifier: GPL-2.0
/* The whole walk, but only every 300 s. */
#include "estimator.h"

static void rare_estimation(struct timer_list *t)
{
	struct netns_ipvs *ipvs = ipvs_of(t);

	walk(ipvs);
	mod_timer(&ipvs->est_timer, jiffies + 300 * HZ);
}

HOTFIX(rare_estimation);
