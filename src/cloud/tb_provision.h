/* ThingsBoard's provisioning: the request, the answer, and the same credentials as they are kept in a file. Pure.
 * From the server's source, v4.3.1.3 (JsonConverter, DeviceProvisionServiceImpl), where the page of the API differs.
 */
#ifndef CLOUD_TB_PROVISION_H
#define CLOUD_TB_PROVISION_H

#include <stddef.h>

#include "model/settings.h"

#define TB_PROVISION_USER     "provision" /* who may only ask for credentials */
#define TB_PROVISION_REQUEST  "/provision/request"
#define TB_PROVISION_RESPONSE "/provision/response"

enum tb_provision_status {
	TB_PROVISION_SUCCESS,
	TB_PROVISION_NOT_FOUND, /* the key and the secret are not those of a device profile, or provisioning is off there */
	TB_PROVISION_FAILURE,	/* there is a device of that name, or none that waits for it */
	TB_PROVISION_NONSENSE,	/* no answer that can be used */
};

/* {"deviceName":...}. Returns the length or -EMSGSIZE; terminated.
 * offered  type basic: what is offered as credentials
 * pem      type certificate: the certificate; else NULL */
int tb_provision_request(const struct provision *provision, const char *device_name, const struct credentials *offered,
    const char *pem, char *text, size_t size);

/* What the server answers. On success its credentials are in `ret`, copied: give them to tb_provision_done(). For a certificate
 * nothing is in them but the kind. */
enum tb_provision_status tb_provision_answer(
    enum provision_type type, const void *payload, size_t length, struct credentials *ret);
void tb_provision_done(struct credentials *credentials);

/* As they are kept. Returns like tb_provision_request(). */
int tb_provision_print(const struct credentials *credentials, char *text, size_t size);

#endif
