// SPDX-License-Identifier: GPL-2.0
/* What the kernel does itself, written anew: an A/A comparison. */
#include "estimator.h"

static void same_estimation(struct timer_list *t)
{
	struct netns_ipvs *ipvs = ipvs_of(t);

	walk(ipvs);
	mod_timer(&ipvs->est_timer, jiffies + PERIOD);
}

HOTFIX(same_estimation);
