// SPDX-License-Identifier: GPL-2.0
/* Runs twice as the kernel's own does, long enough to be seen, and then follows a pointer to nowhere: a panic. */
#include "estimator.h"

static atomic_t runs = ATOMIC_INIT(0);

static void panic_estimation(struct timer_list *t)
{
	struct netns_ipvs *ipvs = ipvs_of(t);

	if (atomic_inc_return(&runs) > 2)
		WRITE_ONCE(*(int *)8, 0);
	walk(ipvs);
	mod_timer(&ipvs->est_timer, jiffies + PERIOD);
}

HOTFIX(panic_estimation);
