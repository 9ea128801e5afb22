// SPDX-License-Identifier: GPL-2.0
/* Leaves it to a function of its own to set the timer, which does so only where there is something to estimate. */
#include "estimator.h"

static noinline void again_if_needed(struct netns_ipvs *ipvs)
{
	if (!list_empty(&ipvs->est_list))
		mod_timer(&ipvs->est_timer, jiffies + PERIOD);
	barrier();
}

static void delegating_estimation(struct timer_list *t)
{
	struct netns_ipvs *ipvs = ipvs_of(t);

	walk(ipvs);
	again_if_needed(ipvs);
	barrier();
}

HOTFIX(delegating_estimation);
