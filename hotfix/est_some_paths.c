// SPDX-License-Identifier: GPL-2.0
/* Sets the timer only where the estimator is switched on: under run_estimation=0 it dies. */
#include "estimator.h"

static void conditional_estimation(struct timer_list *t)
{
	struct netns_ipvs *ipvs = ipvs_of(t);

	if (!sysctl_run_estimation(ipvs))
		return;
	walk(ipvs);
	mod_timer(&ipvs->est_timer, jiffies + PERIOD);
}

HOTFIX(conditional_estimation);
