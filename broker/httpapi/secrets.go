package httpapi

import "context"

// RotateSecrets implements StrictServerInterface.
func (h *handlers) RotateSecrets(ctx context.Context, r RotateSecretsRequestObject) (RotateSecretsResponseObject, error) {
	done, err := h.broker.Secrets.Rotate(requestContext(ctx), r.Body.Overlap)
	if err != nil {
		return nil, err
	}
	return RotateSecrets200JSONResponse(done), nil
}
