// SPDX-License-Identifier: GPL-2.0
/* A livepatch that has nothing to do with ip_vs: hold_nap of hold_task, which must be loaded. */
#include <linux/sched.h>

#include "estimator.h"

static void nap_anew(unsigned int seconds)
{
	schedule_timeout_uninterruptible(seconds * HZ);
	/* No jump at the end: this function is to stay on the stack. */
	barrier();
}

MODULE_INFO(livepatch, "Y");
HOTFIX_PATCH("hold_task", "hold_nap", nap_anew);
