// SPDX-License-Identifier: GPL-2.0
/* Replaces a function of the kernel of whose name there are many, and does not say which. */
#include "estimator.h"

static ssize_t no_type(void)
{
	return 0;
}

MODULE_INFO(livepatch, "Y");
HOTFIX_PATCH(NULL, "type_show", no_type);
