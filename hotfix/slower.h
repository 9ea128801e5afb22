/* SPDX-License-Identifier: GPL-2.0 */
/* Work that a run does not need: what makes it longer by a known share. */
#ifndef HOTFIX_SLOWER_H
#define HOTFIX_SLOWER_H

#include "estimator.h"

/* Sums up the first `most` estimators once more: all of them make a run about 1.5 times as long. */
static inline void sum_again(struct netns_ipvs *ipvs, unsigned int most)
{
	struct ip_vs_kstats unused;
	struct ip_vs_estimator *e;
	unsigned int count = 0;

	spin_lock(&ipvs->est_lock);
	list_for_each_entry(e, &ipvs->est_list, list) {
		struct ip_vs_stats *s = container_of(e, struct ip_vs_stats, est);

		if (count++ == most)
			break;
		spin_lock(&s->lock);
		sum_cpus(&unused, s->cpustats);
		OPTIMIZER_HIDE_VAR(unused.conns);
		spin_unlock(&s->lock);
	}
	spin_unlock(&ipvs->est_lock);
}

#endif
