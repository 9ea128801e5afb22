// SPDX-License-Identifier: GPL-2.0
/* Makes the estimator's timer call the module: after the module is removed, the next expiry is a panic. */
#include "estimator.h"

static void tick(struct timer_list *t)
{
	mod_timer(t, jiffies + PERIOD);
}

static void setting_estimation(struct timer_list *t)
{
	struct netns_ipvs *ipvs = ipvs_of(t);

	timer_setup(&ipvs->est_timer, tick, 0);
	mod_timer(&ipvs->est_timer, jiffies + PERIOD);
}

HOTFIX(setting_estimation);
