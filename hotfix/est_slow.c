// SPDX-License-Identifier: GPL-2.0
/* A walk that takes about 1.5 times as long. */
#include "slower.h"

static void slow_estimation(struct timer_list *t)
{
	struct netns_ipvs *ipvs = ipvs_of(t);

	walk(ipvs);
	sum_again(ipvs, UINT_MAX);
	mod_timer(&ipvs->est_timer, jiffies + PERIOD);
}

HOTFIX(slow_estimation);
